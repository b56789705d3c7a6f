import { createCarillon } from "@carillon/client";
import { till } from "../till";

/** The client of this page. It logs to the browser's console. */
export const carillon = createCarillon({ auth: () => ({ nom: till.get() }), logger: console });

// The till name is part of the handshake, so a new name needs a new connection.
till.subscribe(() => {
  if (carillon.state === "disconnected") return;
  carillon.disconnect();
  carillon.connect();
});
