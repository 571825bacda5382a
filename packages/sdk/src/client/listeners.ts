/** Calls every listener. One that throws is a bug of its program: it is reported, and keeps nobody else from being told. */
export function callAll<T extends readonly unknown[]>(listeners: Iterable<(...of: T) => void>, ...of: T): void {
  for (const listener of [...listeners]) {
    try {
      listener(...of);
    } catch (error) {
      console.error(error);
    }
  }
}
