/** Signing in. What was captured before waits and goes out afterwards. */

import { ask } from "../messages.ts";
import { h } from "../ui/dom.ts";

export function signInForm(): HTMLFormElement {
  const input = (id: string, type: string, autocomplete: string, label: string): [HTMLElement, HTMLInputElement] => {
    const control = h("input", { attributes: { id, type, autocomplete: autocomplete } });
    return [h("div", { class: "field" }, h("label", { attributes: { for: id } }, label), control), control];
  };
  const [emailRow, email] = input("sign_in_email", "email", "username", "E-mail");
  const [passwordRow, password] = input("sign_in_password", "password", "current-password", "Password");
  const [workspaceRow, workspace] = input(
    "sign_in_workspace",
    "text",
    "organization",
    "Workspace (if you have several)",
  );
  const alert = h("p", { class: "alert", attributes: { role: "alert" } });
  const submit = h("button", { class: "primary", attributes: { type: "submit" } }, "Sign in");

  const signIn = async (): Promise<void> => {
    submit.disabled = true;
    alert.textContent = "";
    const args = { email: email.value.trim(), password: password.value, workspace: workspace.value.trim() };
    const done = await ask("sign_in", args).catch((error: Error) => ({ done: false as const, message: error.message }));
    submit.disabled = false;
    password.value = "";
    if (!done.done) {
      alert.textContent = done.message;
      password.focus();
    }
  };
  return h(
    "form",
    {
      class: "card sign-in",
      attributes: { "aria-label": "Sign in" },
      on: {
        submit: (event) => {
          event.preventDefault();
          void signIn();
        },
      },
    },
    h("h2", {}, "Sign in"),
    emailRow,
    passwordRow,
    workspaceRow,
    alert,
    h("div", { class: "actions" }, submit),
  );
}
