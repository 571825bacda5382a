/** Making elements. Texts are put in as text, and nothing here takes markup: what a page says can do nothing here. */

type Child = Node | string | undefined;

interface Options<Tag extends keyof HTMLElementTagNameMap> {
  readonly class?: string;
  /** Attributes of the element; `undefined` leaves one out. */
  readonly attributes?: Readonly<Record<string, string | undefined>>;
  readonly on?: { readonly [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void };
  readonly set?: Partial<Pick<HTMLElementTagNameMap[Tag], keyof HTMLElementTagNameMap[Tag]>>;
}

/** Attributes that would run or load what stands in them. */
const ACTIVE = /^on|^(?:href|src|srcdoc|style|action|formaction)$/i;

export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  options: Options<Tag> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  if (options.class !== undefined) {
    element.className = options.class;
  }
  for (const [name, value] of Object.entries(options.attributes ?? {})) {
    if (ACTIVE.test(name)) {
      throw new Error(`the attribute ${name} is not set here`);
    }
    if (value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  Object.assign(element, options.set ?? {});
  for (const [name, listener] of Object.entries(options.on ?? {})) {
    element.addEventListener(name, listener as EventListener);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** The element of this id. Throws when the page has none: that is a bug of ours. */
export function byId<E extends HTMLElement>(id: string, kind: new () => E): E {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) {
    throw new Error(`this page has no ${kind.name} called ${id}`);
  }
  return element;
}
