import type { ReactNode } from "react";
import { useTitle } from "./useTitle.ts";

interface PageProps {
  readonly title: string;
  /** Beside the title: how many, or in what state. */
  readonly aside?: ReactNode;
  readonly actions?: ReactNode;
  /** Below the title and above the content: search and filters. */
  readonly tools?: ReactNode;
  readonly children: ReactNode;
  /** The content scrolls by itself, as a virtual list does. */
  readonly isFilled?: boolean;
}

/** The frame of every screen: title, what can be done here, content. */
export function Page({ title, aside, actions, tools, children, isFilled = false }: PageProps) {
  useTitle(title);
  return (
    <div className="flex h-full min-h-0 flex-col">
      <header className="flex min-h-15 flex-wrap items-center gap-x-3 gap-y-2 px-4 py-2.5 sm:px-6">
        <h1 className="text-xl font-semibold tracking-tight">{title}</h1>
        {aside !== undefined && <span className="num text-ink-3">{aside}</span>}
        <div className="ml-auto flex items-center gap-2">{actions}</div>
      </header>
      {tools !== undefined && <div className="px-4 pb-3 sm:px-6">{tools}</div>}
      {isFilled ? (
        <div className="flex min-h-0 flex-1 flex-col">{children}</div>
      ) : (
        // Whoever has no mouse scrolls a page in which there is nothing to click.
        // biome-ignore lint/a11y/noNoninteractiveTabindex: see above
        <div tabIndex={0} className="min-h-0 flex-1 overflow-y-auto px-4 pb-8 focus-visible:-outline-offset-2 sm:px-6">
          {children}
        </div>
      )}
    </div>
  );
}

/** A box with a heading on a page. */
export function Card({ title, actions, children }: { title?: string; actions?: ReactNode; children: ReactNode }) {
  return (
    <section className="rounded-xl border bg-surface shadow-card">
      {title !== undefined && (
        <header className="flex min-h-11 items-center gap-2 border-b px-4 py-1.5">
          <h2 className="font-semibold">{title}</h2>
          <div className="ml-auto flex gap-1">{actions}</div>
        </header>
      )}
      {children}
    </section>
  );
}
