/** What a refused op was to do. */
export const DEEDS: Readonly<Record<string, string>> = {
  create: "New",
  update: "Change of",
  delete: "Deletion of",
  restore: "Restoring of",
  resolve: "Decision about",
};
