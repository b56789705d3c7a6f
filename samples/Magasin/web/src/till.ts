import { createStored } from "./stored";

const isName = (text: string): text is string => text.trim().length > 0 && text.length <= 40;

/** The name of this till. The server receives it with the connection and with every write. */
export const till = createStored("magasin.caisse", () => `Caisse ${1 + Math.floor(Math.random() * 9)}`, isName);
