// Before the first paint: the theme the person chose on this device, otherwise that of the system.
{
  const chosen = localStorage.getItem("syncline theme");
  const isDark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}
