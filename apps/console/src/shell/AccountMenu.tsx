import { useNavigate } from "@tanstack/react-router";
import { ChevronsUpDown, LogOut, Moon, Settings, Sun } from "lucide-react";
import { useState } from "react";
import { Avatar } from "../components/Avatar.tsx";
import { Confirm } from "../components/Dialog.tsx";
import { Menu } from "../components/Menu.tsx";
import { useClient } from "../data/live.ts";
import { useMe } from "../data/me.ts";
import { useStatus } from "../data/sync.ts";
import { counted, sentence } from "../format/text.ts";
import { useTheme } from "./theme.ts";

export function AccountMenu() {
  const client = useClient();
  const navigate = useNavigate();
  const me = useMe();
  const [theme, setTheme] = useTheme();
  const pending = useStatus()?.pending ?? 0;
  const [isLeaving, setIsLeaving] = useState(false);
  const isDark = theme === "dark" || (theme === "system" && document.documentElement.dataset.theme === "dark");
  const leave = (): void => void client.signOut();
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
            onSelect: () => (pending > 0 ? setIsLeaving(true) : leave()),
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
        {counted(pending, "change")} on this device {pending === 1 ? "has" : "have"} not reached the server. Signing out
        deletes everything here.
      </Confirm>
    </>
  );
}
