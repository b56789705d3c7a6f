import { createCarillon } from "@carillon/client";
import { till } from "../till";

/** The one live connection of this page. It tells its story in the browser's console. */
export const carillon = createCarillon({ auth: () => ({ nom: till.get() }), logger: console });

// Another name is another handshake.
till.subscribe(() => {
  if (carillon.state === "disconnected") return;
  carillon.disconnect();
  carillon.connect();
});
