/** The theme a person chose on this device. `public/theme.js` reads it before the first paint. */

import { useSyncExternalStore } from "react";

export type Theme = "light" | "dark" | "system";

const KEY = "syncline theme";
const listeners = new Set<() => void>();
const dark = (): MediaQueryList => matchMedia("(prefers-color-scheme: dark)");

function current(): Theme {
  const held = localStorage.getItem(KEY);
  return held === "light" || held === "dark" ? held : "system";
}

function apply(): void {
  const theme = current();
  const isDark = theme === "dark" || (theme === "system" && dark().matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}

export function setTheme(theme: Theme): void {
  if (theme === "system") {
    localStorage.removeItem(KEY);
  } else {
    localStorage.setItem(KEY, theme);
  }
  apply();
  for (const listener of listeners) {
    listener();
  }
}

function subscribe(listener: () => void): () => void {
  const media = dark();
  const onChange = (): void => {
    apply();
    listener();
  };
  listeners.add(listener);
  media.addEventListener("change", onChange);
  addEventListener("storage", onChange);
  return () => {
    listeners.delete(listener);
    media.removeEventListener("change", onChange);
    removeEventListener("storage", onChange);
  };
}

export function useTheme(): readonly [Theme, (theme: Theme) => void] {
  return [useSyncExternalStore(subscribe, current), setTheme];
}
