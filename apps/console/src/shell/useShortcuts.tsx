import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useEffect, useState } from "react";
import { Dialog } from "../components/Dialog.tsx";
import { GO } from "./navigation.ts";

/** How long `g` waits for the key that says where. */
const CHORD_MS = 1_200;

const OTHERS: readonly (readonly [keys: string, what: string])[] = [
  ["/", "Search in this list"],
  ["n", "New record"],
  ["↑ ↓", "Move in a list or on the board"],
  ["Enter", "Open"],
  ["?", "This help"],
];

/** Keys that work everywhere but where one types. Returns their help. */
export function useShortcuts(): ReactNode {
  const navigate = useNavigate();
  const [isOpen, setIsOpen] = useState(false);
  useEffect(() => {
    let wantsPlaceUntil = 0;
    const onKey = (event: KeyboardEvent): void => {
      const { target, key } = event;
      const isTyping =
        target instanceof HTMLElement &&
        target.closest("input, textarea, select, [contenteditable], [role=dialog], [role=menu]");
      if (isTyping || event.metaKey || event.ctrlKey || event.altKey) {
        return;
      }
      const place = event.timeStamp < wantsPlaceUntil ? GO.get(key) : undefined;
      wantsPlaceUntil = key === "g" ? event.timeStamp + CHORD_MS : 0;
      if (place !== undefined) {
        event.preventDefault();
        void navigate({ to: place.to });
      } else if (key === "?") {
        setIsOpen(true);
      } else if (key === "n") {
        const create = document.querySelector<HTMLElement>("[data-create]");
        if (create !== null) {
          event.preventDefault();
          create.click();
        }
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [navigate]);
  const places = [...GO].map(([key, { label }]) => [`g ${key}`, label] as const);
  return (
    <Dialog isOpen={isOpen} onClose={() => setIsOpen(false)} title="Keyboard shortcuts">
      <dl className="grid grid-cols-1 gap-x-8 gap-y-1.5 sm:grid-cols-2">
        {[...OTHERS, ...places].map(([keys, what]) => (
          <div key={keys} className="flex items-center justify-between gap-3">
            <dt className="text-ink-2">{what}</dt>
            <dd>
              <kbd className="rounded border border-line-strong bg-sunken px-1.5 py-0.5 font-sans text-xs">{keys}</kbd>
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
