/**
 * A value does not fit its field. Thrown inside this folder only, where a value may be refused many calls deep;
 * `canonical.ts` turns it into a returned error.
 */
export class Unfit extends Error {
  readonly field: string;

  constructor(message: string, field = "") {
    super(message);
    this.field = field;
  }
}
