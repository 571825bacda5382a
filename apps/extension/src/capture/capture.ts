/** From a snapshot of a page to what a person may save of it. Pure: the same snapshot always gives the same capture. */

import { type ContactField, type ContactFields, checked } from "./fields.ts";
import { readLinks, readSelection } from "./free.ts";
import { partsOf, type Thing, textOf, thingsOf } from "./nodes.ts";
import type { Snapshot } from "./snapshot.ts";
import { domainOf, line, lines, webAddress } from "./text.ts";

/** Where on the page a value stood. */
export type Source = "selection" | "json_ld" | "microdata" | "open_graph" | "link" | "address_bar";

/** What was found. The person sees it, changes it, and then saves it or not. */
export interface Capture {
  readonly contact: ContactFields;
  /** Where each value of the contact stood. */
  readonly sources: Readonly<Partial<Record<ContactField, Source>>>;
  readonly lead: LeadFields;
  readonly pageTitle: string;
}

export interface LeadFields {
  readonly captured_url?: string;
  readonly product_interest?: string;
  readonly utm_source?: string;
  readonly utm_medium?: string;
  readonly utm_campaign?: string;
  readonly notes?: string;
}

/** What one part of the page says, strongest first in the list of them. */
interface Finding {
  readonly source: Source;
  readonly fields: Partial<Record<ContactField, string>>;
}

/** Subtypes of schema.org's Organization are many; what has an address or a telephone and a name is one, but for these. */
const NOT_ORGANISATIONS = [
  "Person",
  "ContactPoint",
  "PostalAddress",
  "Place",
  "Product",
  "Event",
  "WebPage",
  "WebSite",
];
const OFFERED = ["Product", "Service", "Offer", "Course", "SoftwareApplication", "Vehicle", "Accommodation"];
/** Names of query parameters that may be secrets of the person who looks at the page. */
const SECRET = /token|secret|passw|session|auth|signature|^sig$|^code$|^key$|api_?key/i;
/** Value of `lead_source` of every lead that was captured. */
export const LEAD_SOURCE = "web capture";

export function captureOf(snapshot: Snapshot): Capture {
  const things = thingsOf(snapshot);
  const person = personOf(things, snapshot);
  const findings: Finding[] = [
    { source: "selection", fields: readSelection(snapshot.selection, person === undefined) },
    ...(person === undefined ? [] : [{ source: person.from, fields: personFields(person) }]),
    ...organisationsOf(things).map((thing) => ({
      source: thing.from,
      fields: organisationFields(thing, snapshot.url),
    })),
    { source: "open_graph", fields: openGraph(snapshot, person === undefined) },
    { source: "link", fields: readLinks(snapshot.links, snapshot.url) },
    { source: "address_bar", fields: person === undefined ? addressBar(snapshot.url) : {} },
  ];
  const contact: Partial<Record<ContactField, string>> = {};
  const sources: Partial<Record<ContactField, Source>> = {};
  for (const { source, fields } of findings) {
    for (const [name, value] of fillable(fields, contact)) {
      const valid = checked(name, value);
      if (valid !== undefined && contact[name] === undefined) {
        contact[name] = valid;
        sources[name] = source;
      }
    }
  }
  return { contact, sources, lead: leadFields(snapshot, things), pageTitle: line(snapshot.title, 255) };
}

/** Names and addresses are taken whole from one place: half of one and half of another is nobody's. */
const WHOLES: readonly (readonly ContactField[])[] = [
  ["firstname", "lastname"],
  ["st_address", "city", "state", "zip", "country"],
];

/** What a finding may still fill. */
function fillable(
  fields: Partial<Record<ContactField, string>>,
  held: Partial<Record<ContactField, string>>,
): [ContactField, string][] {
  const taken = WHOLES.filter((whole) => whole.some((name) => held[name] !== undefined)).flat();
  return (Object.entries(fields) as [ContactField, string][]).filter(
    ([name, value]) => value !== "" && !taken.includes(name),
  );
}

/** The person the page is about. Authors of articles and comments have a name alone and are not. */
function personOf(things: readonly Thing[], snapshot: Snapshot): Thing | undefined {
  const main = new Set(things.flatMap((thing) => partsOf(thing, "mainEntity")));
  const isProfile = metaOf(snapshot, "og:type") === "profile";
  let best: Thing | undefined;
  let bestWeight = 0;
  for (const thing of things) {
    if (thing.types.has("Person") && personName(thing).join("") !== "") {
      const reachable = ["email", "telephone", "contactPoint"].filter((name) => thing.values.has(name)).length * 2;
      const described = ["jobTitle", "worksFor", "address"].filter((name) => thing.values.has(name)).length;
      const weight = reachable + described + (main.has(thing) || isProfile ? 3 : 0);
      if (weight > bestWeight) {
        [best, bestWeight] = [thing, weight];
      }
    }
  }
  return best;
}

function personName(person: Thing): [first: string, last: string] {
  const [given, family] = [textOf(person, "givenName"), textOf(person, "familyName")];
  return given !== "" || family !== "" ? [given, family] : split(textOf(person, "name"));
}

/** A whole name: the last word is taken for the family name, which the person who captures can put right. */
function split(name: string): [first: string, last: string] {
  const cut = name.lastIndexOf(" ");
  return cut < 0 ? [name, ""] : [name.slice(0, cut), name.slice(cut + 1)];
}

function personFields(person: Thing): Finding["fields"] {
  const [firstname, lastname] = personName(person);
  const [employer] = partsOf(person, "worksFor", "affiliation");
  return {
    firstname,
    lastname,
    ...reachedAt(person),
    company_name: (employer === undefined ? textOf(person, "worksFor") : textOf(employer, "name")) || "",
    job_title: textOf(person, "jobTitle"),
    website: textOf(person, "url") || (employer === undefined ? "" : textOf(employer, "url")),
    ...addressOf(person),
  };
}

function organisationsOf(things: readonly Thing[]): Thing[] {
  return things.filter((thing) => {
    const isOther =
      NOT_ORGANISATIONS.some((type) => thing.types.has(type)) || OFFERED.some((type) => thing.types.has(type));
    const isReachable = ["telephone", "email", "address", "contactPoint"].some((name) => thing.values.has(name));
    return !isOther && thing.values.has("name") && (isReachable || thing.types.has("Organization"));
  });
}

function organisationFields(thing: Thing, page: string): Finding["fields"] {
  return {
    company_name: textOf(thing, "name"),
    ...reachedAt(thing),
    website: webAddress(textOf(thing, "url"), page)?.href ?? "",
    ...addressOf(thing),
  };
}

/** E-mail and telephone of a thing, else of its contact point. */
function reachedAt(thing: Thing): Finding["fields"] {
  const all = [thing, ...partsOf(thing, "contactPoint", "contactPoints")];
  const first = (name: string): string => all.map((each) => textOf(each, name)).find((text) => text !== "") ?? "";
  return { email: first("email"), phone_number: first("telephone") };
}

function addressOf(thing: Thing): Finding["fields"] {
  const [address] = partsOf(thing, "address");
  if (address === undefined) {
    return { st_address: textOf(thing, "address") };
  }
  return {
    st_address: textOf(address, "streetAddress"),
    city: textOf(address, "addressLocality"),
    state: textOf(address, "addressRegion"),
    zip: textOf(address, "postalCode"),
    country: textOf(address, "addressCountry"),
  };
}

/** Open Graph names the site. On somebody's profile the site is not where they work. */
function openGraph(snapshot: Snapshot, isAboutSite: boolean): Finding["fields"] {
  return {
    firstname: metaOf(snapshot, "profile:first_name"),
    lastname: metaOf(snapshot, "profile:last_name"),
    email: metaOf(snapshot, "og:email"),
    phone_number: metaOf(snapshot, "og:phone_number"),
    company_name: isAboutSite ? metaOf(snapshot, "og:site_name") : "",
    st_address: metaOf(snapshot, "og:street-address"),
    city: metaOf(snapshot, "og:locality"),
    state: metaOf(snapshot, "og:region"),
    zip: metaOf(snapshot, "og:postal-code"),
    country: metaOf(snapshot, "og:country-name"),
  };
}

function metaOf(snapshot: Snapshot, wanted: string): string {
  const found = snapshot.metas.find(([name]) => name.toLowerCase() === wanted);
  return found === undefined ? "" : line(found[1], 255);
}

function addressBar(page: string): Finding["fields"] {
  const url = webAddress(page);
  return url === undefined ? {} : { website: `${url.origin}/` };
}

function leadFields(snapshot: Snapshot, things: readonly Thing[]): LeadFields {
  const url = webAddress(snapshot.url);
  const offered = things.find((thing) => OFFERED.some((type) => thing.types.has(type)) && textOf(thing, "name") !== "");
  const parameter = (name: string): string => line(url?.searchParams.get(name) ?? "", 255);
  const found = {
    captured_url: url === undefined ? "" : capturedUrl(url),
    product_interest: offered === undefined ? "" : line(textOf(offered, "name"), 255),
    utm_source: parameter("utm_source"),
    utm_medium: parameter("utm_medium"),
    utm_campaign: parameter("utm_campaign"),
    notes: lines(snapshot.selection, 5_000),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== ""));
}

/** The address of the page without what may be a secret; without its query when the server would refuse it. */
function capturedUrl(page: URL): string {
  const url = new URL(page);
  for (const name of [...url.searchParams.keys()]) {
    if (SECRET.test(name)) {
      url.searchParams.delete(name);
    }
  }
  return checked("website", url.href) ?? checked("website", `${url.origin}${url.pathname}`) ?? `${url.origin}/`;
}

/** The domain a website stands for, as companies hold it; empty when there is none. */
export function domainOfWebsite(website: string | undefined): string {
  const url = webAddress(website ?? "");
  return url === undefined ? "" : domainOf(url);
}
