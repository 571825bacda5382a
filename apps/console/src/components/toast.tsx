/** Short words about what was done, with the way back where there is one. */

import { Toast } from "@base-ui/react/toast";
import { X } from "lucide-react";
import type { ReactNode } from "react";

const TOASTS_MAX = 3;
const manager = Toast.createToastManager();

export interface ToastAction {
  readonly label: string;
  readonly run: () => void;
}

/** Says what was done. Screen readers hear it; it goes by itself. */
export function toast(title: string, options: { readonly detail?: string; readonly action?: ToastAction } = {}): void {
  const { detail, action } = options;
  const id = manager.add({
    title,
    ...(detail !== undefined && { description: detail }),
    timeout: action === undefined ? 4_000 : 8_000,
    ...(action !== undefined && {
      actionProps: {
        children: action.label,
        onClick: () => {
          manager.close(id);
          action.run();
        },
      },
    }),
  });
}

/** Says what went wrong with something nobody waits for, whether it was thrown or answered: nothing fails silently. */
export function attempt(work: Promise<unknown>): void {
  work.then(
    (answer) => {
      const { ok, error } = (answer ?? {}) as { readonly ok?: boolean; readonly error?: { readonly message?: string } };
      if (ok === false) {
        sayFailed(error?.message ?? "");
      }
    },
    (thrown: unknown) => sayFailed(thrown instanceof Error ? thrown.message : String(thrown)),
  );
}

function sayFailed(detail: string): void {
  toast("That did not work", { detail });
}

export function ToastProvider({ children }: { children: ReactNode }) {
  return (
    <Toast.Provider toastManager={manager} limit={TOASTS_MAX}>
      {children}
      <Toast.Portal>
        <Toast.Viewport className="fixed inset-x-3 bottom-20 z-60 mx-auto flex w-auto max-w-sm flex-col gap-2 modal:top-3 modal:bottom-auto sm:right-5 sm:bottom-5 sm:left-auto sm:mx-0 sm:w-sm sm:modal:top-auto sm:modal:right-auto sm:modal:bottom-5 sm:modal:left-5">
          <ToastList />
        </Toast.Viewport>
      </Toast.Portal>
    </Toast.Provider>
  );
}

function ToastList() {
  const { toasts } = Toast.useToastManager();
  return toasts.map((shown) => (
    <Toast.Root
      key={shown.id}
      toast={shown}
      className="rounded-xl border bg-surface shadow-pop transition-all duration-200 data-[ending-style]:opacity-0 data-[limited]:hidden data-[starting-style]:translate-y-2 data-[starting-style]:opacity-0"
    >
      <Toast.Content className="flex items-center gap-3 px-4 py-3">
        <div className="min-w-0 flex-1">
          <Toast.Title className="font-medium" />
          <Toast.Description className="text-ink-2" />
        </div>
        <Toast.Action className="shrink-0 font-semibold text-accent hover:underline" />
        <Toast.Close aria-label="Dismiss" className="shrink-0 rounded p-1 text-ink-3 hover:bg-hover">
          <X className="size-4" />
        </Toast.Close>
      </Toast.Content>
    </Toast.Root>
  ));
}
