import { Link } from "@tanstack/react-router";
import { PAGES } from "../record/pages.ts";
import type { Subject } from "./subject.ts";

interface SubjectLinkProps {
  readonly subject: Subject;
  /** What the record is called. */
  readonly title: string;
  readonly onFollow?: () => void;
}

/** Leads to the record that a task is about; one without a page is only named. */
export function SubjectLink({ subject: { entity, id }, title, onFollow }: SubjectLinkProps) {
  const page = PAGES[entity];
  return page === undefined ? (
    title
  ) : (
    <Link to={page} params={{ id }} onClick={onFollow} className="text-accent underline underline-offset-2">
      {title}
    </Link>
  );
}
