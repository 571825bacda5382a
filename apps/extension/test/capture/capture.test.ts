/** What is found on pages as they are in the world. */

import { expect, it } from "vitest";
import { captureOf } from "../../src/capture/capture.ts";
import { snapshotOf } from "../page.ts";

it("[EXT-1] a business with JSON-LD: its own data, not those of its agency", () => {
  const { contact, sources, pageTitle } = captureOf(
    snapshotOf({ fixture: "dentist", url: "https://harbourdental.example/contact" }),
  );
  expect(contact).toEqual({
    company_name: "Harbour Dental Care Ltd",
    email: "reception@harbourdental.example",
    phone_number: "+44 131 496 0123",
    website: "https://harbourdental.example/",
    st_address: "14 Commercial Quay",
    city: "Edinburgh",
    zip: "EH6 6LX",
    country: "United Kingdom",
  });
  expect(new Set(Object.values(sources))).toEqual(new Set(["json_ld"]));
  expect(pageTitle).toBe("Contact us | Harbour Dental Care, Leith");
});

it("[EXT-1] a profile with Open Graph, whose JSON-LD does not parse: the name, composed", () => {
  const { contact, sources } = captureOf(snapshotOf({ fixture: "profile", url: "https://netzwerk.example/in/gross" }));
  expect(contact.firstname).toBe("J\u00fcrgen");
  expect(contact.lastname).toBe("Groß");
  expect(sources.firstname).toBe("open_graph");
});

it("[EXT-1] a person in microdata, with employer, links and the thing on offer", () => {
  const { contact, lead } = captureOf(
    snapshotOf({ fixture: "agent", url: "https://bayside.example/maria?utm_source=ad&utm_campaign=spring" }),
  );
  expect(contact).toMatchObject({
    firstname: "Maria de la",
    lastname: "Cruz",
    job_title: "Senior Realtor",
    company_name: "Bayside Homes",
    website: "https://bayside.example/",
    phone_number: "+1-619-555-0142",
    email: "maria@bayside.example",
  });
  expect(lead).toEqual({
    captured_url: "https://bayside.example/maria?utm_source=ad&utm_campaign=spring",
    product_interest: "Three bedroom house, 12 Palm Street",
    utm_source: "ad",
    utm_campaign: "spring",
  });
});

it("[EXT-1] a page without structure: links of its own domain, no number of two digits", () => {
  const { contact, sources } = captureOf(snapshotOf({ fixture: "plain" }));
  expect(contact).toEqual({ email: "buero@tischlerei.example", website: "https://www.tischlerei.example/" });
  expect(sources).toEqual({ email: "link", website: "address_bar" });
});

it("[EXT-1] what is selected is what is meant", () => {
  const { contact, sources, lead } = captureOf(snapshotOf({ fixture: "plain", select: "#imprint" }));
  expect(contact).toMatchObject({
    firstname: "Anna-Lena",
    lastname: "Österreicher",
    phone_number: "+43 (1) 555 01 23",
    email: "anna@tischlerei.example",
  });
  expect(sources.email).toBe("selection");
  expect(lead.notes).toContain("Verantwortlich:\nAnna-Lena Österreicher");
});

it.each([
  ["a date is no telephone number", "On 2026-11-21 and 21.11.2026 12", undefined],
  ["a short number is none", "Room 123-45", undefined],
  ["a number in a sentence", "Please ring (0131) 496 0123.", "(0131) 496 0123"],
  ["a card number is none", "4111 1111 1111 1111", undefined],
])("[EXT-1] %s", (_, text, phone) => {
  expect(captureOf(snapshotOf({ html: `<p>${text}</p>`, select: "p" })).contact.phone_number).toBe(phone);
});

it("[EXT-1] secrets in the address are not kept", () => {
  const url = "https://shop.example/item?id=7&access_token=abc&code=xyz&Session=1#frag";
  expect(captureOf(snapshotOf({ html: "", url })).lead.captured_url).toBe("https://shop.example/item?id=7");
});

it("[EXT-1] a name and an address are taken whole from one place", () => {
  const person = '{"@type":"Person","name":"Ada","email":"ada@x.example","address":{"streetAddress":"1 First St"}}';
  const shop = '{"@type":"Store","name":"Shop","address":{"addressLocality":"Elsewhere","postalCode":"99"}}';
  const html = `<meta property="profile:last_name" content="Other"><script type="application/ld+json">[${person},${shop}]</script>`;
  const { contact } = captureOf(snapshotOf({ html }));
  expect(contact).toMatchObject({ firstname: "Ada", st_address: "1 First St", company_name: "Shop" });
  expect(contact).not.toHaveProperty("lastname");
  expect(contact).not.toHaveProperty("city");
});
