import { type ErrorComponentProps, useRouter } from "@tanstack/react-router";
import { TriangleAlert } from "lucide-react";
import { Button } from "../components/Button.tsx";
import { Notice } from "../components/States.tsx";

/** A screen that a bug of ours, or a part that could not be fetched, has ended. The others go on, and nothing is lost. */
export function Broken({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const message = error instanceof Error ? error.message : String(error);
  // The parts of another version of the console are not there any more, or there is no network to fetch one by.
  const isPart = /dynamically imported module|Importing a module script failed/i.test(message);
  return (
    <Notice
      icon={<TriangleAlert className="size-5" />}
      title={isPart ? "This screen could not be fetched" : "This screen has failed"}
      action={
        <>
          <Button
            tone="primary"
            onClick={() => {
              reset();
              void router.invalidate();
            }}
          >
            Try again
          </Button>
          <Button onClick={() => location.reload()}>Load the page again</Button>
        </>
      }
    >
      {isPart
        ? "It is not on this device yet. Connect to the network and try again."
        : `Your records are safe on this device. What went wrong: ${message}`}
    </Notice>
  );
}
