import { CSPProvider } from "@base-ui/react/csp-provider";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ToastProvider, toast } from "./components/toast.tsx";
import { router } from "./router.tsx";
import { Opening } from "./shell/Opening.tsx";
import { registerServiceWorker } from "./shell/service-worker.ts";
import "./styles.css";

const root = document.getElementById("root");
if (root === null) {
  throw new Error("index.html has no #root");
}
// What nobody waited for, and what a bug of ours let through: the person is told that it did not happen.
addEventListener("unhandledrejection", ({ reason }) =>
  toast("That did not work", { detail: reason instanceof Error ? reason.message : String(reason) }),
);
createRoot(root).render(
  <StrictMode>
    {/* The page's policy allows no style elements; our own sheet has what Base UI would write. */}
    <CSPProvider disableStyleElements>
      <ToastProvider>
        <Opening>
          <RouterProvider router={router} />
        </Opening>
      </ToastProvider>
    </CSPProvider>
  </StrictMode>,
);
void registerServiceWorker();
