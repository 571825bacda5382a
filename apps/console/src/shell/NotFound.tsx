import { Link } from "@tanstack/react-router";
import { Compass } from "lucide-react";
import { buttonClass } from "../components/Button.tsx";
import { Notice } from "../components/States.tsx";

export function NotFound() {
  return (
    <Notice
      icon={<Compass className="size-5" />}
      title="There is no such page"
      action={
        <Link to="/leads" className={buttonClass()}>
          Go to leads
        </Link>
      }
    >
      The address may be mistyped or from an older version.
    </Notice>
  );
}
