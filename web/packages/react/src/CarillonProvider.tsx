import { createCarillon, type Carillon, type CarillonOptions } from "@carillon/client";
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";

/** What {@link CarillonProvider} takes: either a client made elsewhere, or the options to make one. */
export interface CarillonProviderProps {
  /** A client made elsewhere. It is connected when it is idle, and never closed: it stays yours. */
  readonly carillon?: Carillon;
  /** How to reach the server, when no client is given. Read once, at the first rendering. */
  readonly options?: CarillonOptions;
  /** The application. */
  readonly children?: ReactNode;
}

const Context = createContext<Carillon | null>(null);

/** Gives the application its live connection, opens it, and closes it with the application. */
export function CarillonProvider({ carillon: given, options, children }: CarillonProviderProps) {
  const [made] = useState(() => given ?? createCarillon(options));
  const carillon = given ?? made;

  useEffect(() => {
    if (carillon.state === "idle" && !leaving.has(carillon)) carillon.connect();
    clearTimeout(leaving.get(carillon));
    leaving.delete(carillon);
    if (given) return undefined;
    return () => {
      // StrictMode takes everything down and up again in one breath; the connection must not notice.
      leaving.set(carillon, setTimeout(() => {
        leaving.delete(carillon);
        carillon.disconnect();
      }, 0));
    };
  }, [carillon, given]);

  return <Context.Provider value={carillon}>{children}</Context.Provider>;
}

const leaving = new Map<Carillon, ReturnType<typeof setTimeout>>();

/** The client of the nearest {@link CarillonProvider}. */
export function useCarillon(): Carillon {
  const carillon = useContext(Context);
  if (!carillon) throw new Error("There is no <CarillonProvider> around this component.");
  return carillon;
}
