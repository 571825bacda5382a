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
import { RANK_ADMIN, RANK_AGENT } from "../data/me.ts";

export interface NavItem {
  readonly to: string;
  readonly label: string;
  readonly Icon: LucideIcon;
  /** The count shown beside it. */
  readonly counts?: "conflicts" | "rejected";
  /** Least rank that has use for it. */
  readonly rank?: number;
  /** Pressed after `g`. */
  readonly key?: string;
}

export interface NavGroup {
  readonly title: string;
  readonly items: readonly NavItem[];
}

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
      { to: "/import", label: "Import", Icon: Upload, rank: RANK_AGENT },
      { to: "/export", label: "Export", Icon: Download },
    ],
  },
  {
    title: "Workspace",
    items: [
      { to: "/people", label: "People", Icon: UserRoundCog, rank: RANK_ADMIN },
      { to: "/devices", label: "Devices", Icon: MonitorSmartphone, key: "d" },
      { to: "/messages", label: "Messages", Icon: Mail },
      { to: "/webhooks", label: "Webhooks", Icon: Webhook, rank: RANK_ADMIN },
      { to: "/monitoring", label: "Monitoring", Icon: Activity, key: "m" },
      { to: "/audit", label: "Audit log", Icon: ScrollText, rank: RANK_ADMIN },
      { to: "/settings", label: "Settings", Icon: Settings, key: "s" },
    ],
  },
];

/** What a person of this rank sees. */
export function groupsFor(rank: number): readonly NavGroup[] {
  return GROUPS.map(({ title, items }) => ({ title, items: items.filter((item) => (item.rank ?? 0) <= rank) })).filter(
    ({ items }) => items.length > 0,
  );
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
