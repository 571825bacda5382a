import { useNavigate } from "@tanstack/react-router";
import { ChevronsUpDown, Download, LogOut, Moon, Settings, Sun } from "lucide-react";
import { useState } from "react";
import { Avatar } from "../components/Avatar.tsx";
import { Button } from "../components/Button.tsx";
import { Confirm } from "../components/Dialog.tsx";
import { Menu } from "../components/Menu.tsx";
import { attempt } from "../components/toast.tsx";
import { useClient } from "../data/live.ts";
import { useMe } from "../data/me.ts";
import { useStatus } from "../data/sync.ts";
import { unsentOf } from "../data/unsent.ts";
import { workOffline } from "../data/workOffline.ts";
import { forgetDrafts } from "../features/record/useDraft.ts";
import { download } from "../format/download.ts";
import { counted, sentence } from "../format/text.ts";
import { useTheme } from "./theme.ts";

export function AccountMenu() {
  const client = useClient();
  const navigate = useNavigate();
  const me = useMe();
  const [theme, setTheme] = useTheme();
  const { pending = 0, rejected = 0 } = useStatus() ?? {};
  const [isLeaving, setIsLeaving] = useState(false);
  const isDark = theme === "dark" || (theme === "system" && document.documentElement.dataset.theme === "dark");
  const leave = (): void => {
    workOffline(false);
    forgetDrafts();
    attempt(client.signOut());
  };
  const keep = async (): Promise<void> =>
    download("syncline-not-sent.json", "application/json", await unsentOf(client));
  return (
    <>
      <Menu
        trigger={
          <button
            type="button"
            className="flex w-full items-center gap-2.5 rounded-lg px-2 py-1.5 text-left hover:bg-hover"
          >
            <Avatar name={me.name} />
            <span className="min-w-0 flex-1">
              <span className="block truncate font-medium">{me.name || "Account"}</span>
              <span className="block truncate text-xs text-ink-3">
                {sentence(me.role)} · {me.workspace}
              </span>
            </span>
            <ChevronsUpDown aria-hidden="true" className="size-4 text-ink-3" />
          </button>
        }
        entries={[
          {
            label: isDark ? "Light theme" : "Dark theme",
            icon: isDark ? <Sun className="size-4" /> : <Moon className="size-4" />,
            onSelect: () => setTheme(isDark ? "light" : "dark"),
          },
          {
            label: "Settings",
            icon: <Settings className="size-4" />,
            onSelect: () => void navigate({ to: "/settings" }),
          },
          {
            label: "Sign out",
            icon: <LogOut className="size-4" />,
            onSelect: () => (pending + rejected > 0 ? setIsLeaving(true) : leave()),
          },
        ]}
      />
      <Confirm
        isOpen={isLeaving}
        onClose={() => setIsLeaving(false)}
        title="Sign out and lose changes?"
        deed="Sign out and lose them"
        onConfirm={leave}
      >
        <p>
          {[
            ...(pending > 0 ? [`${counted(pending, "change")} not sent yet`] : []),
            ...(rejected > 0 ? [`${counted(rejected, "change")} that the server could not accept`] : []),
          ].join(" and ")}{" "}
          {pending + rejected === 1 ? "is" : "are"} only on this device. Signing out deletes everything here.
        </p>
        <Button className="mt-3" icon={<Download className="size-4" />} onClick={() => attempt(keep())}>
          Save a copy first
        </Button>
      </Confirm>
    </>
  );
}
