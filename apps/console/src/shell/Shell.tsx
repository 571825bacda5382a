/** The frame around every screen: where one can go, who one is, and whether everything is saved. */

import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { Ellipsis } from "lucide-react";
import { type RefObject, useEffect, useRef, useState } from "react";
import { cx } from "../components/cx.ts";
import { useWidth } from "../components/VirtualTable.tsx";
import { useLive } from "../data/live.ts";
import { useMe } from "../data/me.ts";
import { useStatus } from "../data/sync.ts";
import { SyncIndicator } from "../features/sync/SyncIndicator.tsx";
import { number } from "../format/text.ts";
import { AccountMenu } from "./AccountMenu.tsx";
import { Drawer } from "./Drawer.tsx";
import { groupsFor, type NavItem, PHONE_ITEMS } from "./navigation.ts";
import { UpdateNotice } from "./UpdateNotice.tsx";
import { useShortcuts } from "./useShortcuts.tsx";

const SIDEBAR_FROM_PX = 900;

export function Shell() {
  useWarmRecords();
  const content = useRef<HTMLElement>(null);
  useFocusOnArrival(content);
  const isPhone = useWidth() < SIDEBAR_FROM_PX;
  const shortcuts = useShortcuts();
  return (
    <div className={cx("flex h-full", isPhone && "flex-col")}>
      <a
        href="#content"
        className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-60 focus:rounded-lg focus:bg-surface focus:px-3 focus:py-2 focus:shadow-pop"
      >
        Skip to content
      </a>
      {isPhone ? <TopBar /> : <Sidebar />}
      <main ref={content} id="content" tabIndex={-1} className="min-h-0 min-w-0 flex-1 outline-none">
        <Outlet />
      </main>
      {isPhone && <BottomBar />}
      <UpdateNotice />
      {shortcuts}
    </div>
  );
}

/** Whoever goes to another screen is there with the keyboard and the screen reader too, not on the link they came by. */
function useFocusOnArrival(content: RefObject<HTMLElement | null>): void {
  const path = useRouterState({ select: ({ location }) => location.pathname });
  const last = useRef(path);
  useEffect(() => {
    if (last.current !== path) {
      last.current = path;
      content.current?.focus({ preventScroll: true });
    }
  }, [path, content]);
}

/** Entities that most screens need stay in memory, so that going back to a list shows it at once. */
function useWarmRecords(): void {
  useLive("leads");
  useLive("contacts");
  useLive("companies");
  useLive("users");
  useLive("status_options");
}

function useCounts(): Readonly<Record<string, number>> {
  const conflicts = useLive("conflicts", { where: { state: "open" } }).rows.length;
  return { conflicts, rejected: useStatus()?.rejected ?? 0 };
}

function Sidebar() {
  const { rank } = useMe();
  const counts = useCounts();
  const list = useRef<HTMLElement>(null);
  const path = useRouterState({ select: ({ location }) => location.pathname });
  // biome-ignore lint/correctness/useExhaustiveDependencies: where one is stays in sight of a low window
  useEffect(() => list.current?.querySelector('[aria-current="page"]')?.scrollIntoView({ block: "nearest" }), [path]);
  return (
    <aside className="flex w-58 shrink-0 flex-col border-r bg-page">
      <div className="flex items-center gap-2.5 px-4 pt-4 pb-3">
        <img src="/icon.svg" alt="" className="size-7" />
        <span className="text-lg font-semibold tracking-tight">Syncline</span>
      </div>
      <nav ref={list} aria-label="Main" className="min-h-0 flex-1 scroll-py-3 overflow-y-auto px-2.5 pb-4">
        {groupsFor(rank).map(({ title, items }) => (
          <div key={title} className="mt-3 first:mt-1">
            <h2 className="px-2.5 pb-1 text-xs font-medium text-ink-3">{title}</h2>
            <ul>
              {items.map((item) => (
                <li key={item.to}>
                  <NavLink item={item} count={counts[item.counts ?? ""] ?? 0} />
                </li>
              ))}
            </ul>
          </div>
        ))}
      </nav>
      <div className="flex flex-col gap-1 border-t p-2.5">
        <SyncIndicator />
        <AccountMenu />
      </div>
    </aside>
  );
}

function NavLink({ item, count, onGo }: { item: NavItem; count: number; onGo?: () => void }) {
  const { to, label, Icon } = item;
  return (
    <Link
      to={to}
      {...(onGo !== undefined && { onClick: onGo })}
      className="flex min-h-8 items-center gap-2.5 rounded-lg px-2.5 font-medium text-ink-2 max-md:min-h-10 hover:bg-hover hover:text-ink"
      activeProps={{ className: "bg-accent-soft !text-accent" }}
    >
      <Icon aria-hidden="true" className="size-4 shrink-0" />
      <span className="flex-1 truncate">{label}</span>
      {count > 0 && <Count count={count} />}
    </Link>
  );
}

function Count({ count }: { count: number }) {
  return <span className="num rounded-full bg-bad-soft px-1.5 text-xs font-semibold text-bad">{number(count)}</span>;
}

function TopBar() {
  return (
    <header className="flex items-center gap-2 border-b bg-surface px-3 py-1.5">
      <img src="/icon.svg" alt="" className="size-7" />
      <span className="font-semibold tracking-tight">Syncline</span>
      <div className="ml-auto min-w-0">
        <SyncIndicator isCompact />
      </div>
    </header>
  );
}

function BottomBar() {
  const [isOpen, setIsOpen] = useState(false);
  const { rank } = useMe();
  const counts = useCounts();
  const path = useRouterState({ select: ({ location }) => location.pathname });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the menu closes when one has gone somewhere
  useEffect(() => setIsOpen(false), [path]);
  const cell = "flex flex-1 flex-col items-center gap-0.5 py-2 text-[0.6875rem] font-medium text-ink-3";
  const hidden = counts.rejected ?? 0;
  return (
    <>
      <nav aria-label="Main" className="flex border-t bg-surface pb-[env(safe-area-inset-bottom)]">
        {PHONE_ITEMS.map(({ to, label, Icon, counts: counted }) => (
          <Link key={to} to={to} className={cell} activeProps={{ className: "!text-accent" }}>
            <span className="relative">
              <Icon aria-hidden="true" className="size-5" />
              <Dot isShown={(counts[counted ?? ""] ?? 0) > 0} />
            </span>
            {label}
          </Link>
        ))}
        <button type="button" className={cell} onClick={() => setIsOpen(true)}>
          <span className="relative">
            <Ellipsis aria-hidden="true" className="size-5" />
            <Dot isShown={hidden > 0} />
          </span>
          More
        </button>
      </nav>
      <Drawer isOpen={isOpen} onClose={() => setIsOpen(false)}>
        {groupsFor(rank).map(({ title, items }) => (
          <ul key={title} aria-label={title} className="border-b py-2 last:border-0">
            {items.map((item) => (
              <li key={item.to}>
                <NavLink item={item} count={counts[item.counts ?? ""] ?? 0} onGo={() => setIsOpen(false)} />
              </li>
            ))}
          </ul>
        ))}
        <AccountMenu />
      </Drawer>
    </>
  );
}

function Dot({ isShown }: { isShown: boolean }) {
  return isShown ? <span aria-hidden="true" className="absolute -top-0.5 -right-1 size-2 rounded-full bg-bad" /> : null;
}
