import { useCallback, useRef, useState } from "react";
import { attempt } from "./toast.tsx";

/** One at a time: a second click or Enter while the first is under way does nothing, so that nothing is made twice. */
export function useBusy(): readonly [isBusy: boolean, once: (work: () => Promise<void>) => void] {
  // What is rendered comes too late for the second of two quick clicks.
  const isRunning = useRef(false);
  const [isBusy, setIsBusy] = useState(false);
  const once = useCallback((work: () => Promise<void>) => {
    if (isRunning.current) {
      return;
    }
    isRunning.current = true;
    setIsBusy(true);
    const done = (): void => {
      isRunning.current = false;
      setIsBusy(false);
    };
    attempt(work().finally(done));
  }, []);
  return [isBusy, once];
}
