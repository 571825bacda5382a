/** Where one can go, and who sees what. */

import {
  Activity,
  Building2,
  CheckSquare,
  Download,
  FileWarning,
  GitCompareArrows,
  Kanban,
  type LucideIcon,
  Mail,
  MonitorSmartphone,
  ScrollText,
  Settings,
  Target,
  Upload,
  UserRoundCog,
  Users,
  Webhook,
} from "lucide-react";
import { RANK_ADMIN } from "../data/me.ts";
import { mayImport } from "../data/schema.ts";

export interface NavItem {
  readonly to: string;
  readonly label: string;
  readonly Icon: LucideIcon;
  /** The count shown beside it. */
  readonly counts?: "conflicts" | "rejected";
  /** Whether somebody of a rank has use for it; absent: everybody has. */
  readonly isFor?: (rank: number) => boolean;
  /** Pressed after `g`. */
  readonly key?: string;
}

export interface NavGroup {
  readonly title: string;
  readonly items: readonly NavItem[];
}

const isAdmin = (rank: number): boolean => rank >= RANK_ADMIN;

const GROUPS: readonly NavGroup[] = [
  {
    title: "Work",
    items: [
      { to: "/leads", label: "Leads", Icon: Target, key: "l" },
      { to: "/board", label: "Board", Icon: Kanban, key: "b" },
      { to: "/contacts", label: "Contacts", Icon: Users, key: "c" },
      { to: "/opportunities", label: "Opportunities", Icon: Building2, key: "o" },
      { to: "/tasks", label: "Tasks", Icon: CheckSquare, key: "t" },
    ],
  },
  {
    title: "Review",
    items: [
      { to: "/conflicts", label: "Conflicts", Icon: GitCompareArrows, counts: "conflicts", key: "x" },
      { to: "/rejected", label: "Rejected changes", Icon: FileWarning, counts: "rejected" },
    ],
  },
  {
    title: "Data",
    items: [
      { to: "/import", label: "Import", Icon: Upload, isFor: mayImport },
      { to: "/export", label: "Export", Icon: Download },
    ],
  },
  {
    title: "Workspace",
    items: [
      { to: "/people", label: "People", Icon: UserRoundCog, isFor: isAdmin },
      { to: "/devices", label: "Devices", Icon: MonitorSmartphone, key: "d" },
      { to: "/messages", label: "Messages", Icon: Mail },
      { to: "/webhooks", label: "Webhooks", Icon: Webhook, isFor: isAdmin },
      { to: "/monitoring", label: "Monitoring", Icon: Activity, key: "m" },
      { to: "/audit", label: "Audit log", Icon: ScrollText, isFor: isAdmin },
      { to: "/settings", label: "Settings", Icon: Settings, key: "s" },
    ],
  },
];

/** What a person of this rank sees. */
export function groupsFor(rank: number): readonly NavGroup[] {
  return GROUPS.map(({ title, items }) => ({
    title,
    items: items.filter(({ isFor }) => isFor?.(rank) ?? true),
  })).filter(({ items }) => items.length > 0);
}

const ALL = GROUPS.flatMap(({ items }) => items);

/** The bar at the foot of a phone. */
export const PHONE_ITEMS: readonly NavItem[] = ["/leads", "/board", "/tasks", "/conflicts"].flatMap(
  (to) => ALL.find((item) => item.to === to) ?? [],
);

/** Screens by the key that is pressed after `g`. */
export const GO: ReadonlyMap<string, NavItem> = new Map(
  ALL.flatMap((item) => (item.key === undefined ? [] : [[item.key, item] as const])),
);
