import { Dialog as Base } from "@base-ui/react/dialog";
import type { ReactNode } from "react";

/** The menu of a phone, from below. */
export function Drawer({ isOpen, onClose, children }: { isOpen: boolean; onClose: () => void; children: ReactNode }) {
  return (
    <Base.Root open={isOpen} onOpenChange={(open) => !open && onClose()}>
      <Base.Portal>
        <Base.Backdrop className="fixed inset-0 z-40 bg-shade" />
        <Base.Popup className="fixed inset-x-0 bottom-0 z-50 max-h-[85dvh] overflow-y-auto rounded-t-2xl border-t bg-surface p-3 pb-[max(0.75rem,env(safe-area-inset-bottom))] shadow-pop outline-none">
          <Base.Title className="sr-only">Menu</Base.Title>
          {children}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
