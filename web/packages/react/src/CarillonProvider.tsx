import { createCarillon, type Carillon, type CarillonOptions } from "@carillon/client";
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";

/** The properties of {@link CarillonProvider}: an existing client, or the options to create one. */
export interface CarillonProviderProps {
  /** An existing client. The provider connects it if it is disconnected, but never closes it: that is up to its owner. */
  readonly carillon?: Carillon;
  /** The options of the client to create when none is given. Read once, at the first render. */
  readonly options?: CarillonOptions;
  /** The application. */
  readonly children?: ReactNode;
}

const Context = createContext<Carillon | null>(null);

/** Provides the client to the application, connects it, and closes it when the application unmounts. */
export function CarillonProvider({ carillon: given, options, children }: CarillonProviderProps) {
  const [created] = useState(() => given ?? createCarillon(options));
  const carillon = given ?? created;

  useEffect(() => {
    if (carillon.state === "disconnected" && !closing.has(carillon)) carillon.connect();
    clearTimeout(closing.get(carillon));
    closing.delete(carillon);
    if (given) return undefined;
    return () => {
      // StrictMode unmounts and remounts in the same task. The connection must survive that.
      closing.set(carillon, setTimeout(() => {
        closing.delete(carillon);
        carillon.disconnect();
      }, 0));
    };
  }, [carillon, given]);

  return <Context.Provider value={carillon}>{children}</Context.Provider>;
}

const closing = new Map<Carillon, ReturnType<typeof setTimeout>>();

/** The client of the nearest {@link CarillonProvider}. */
export function useCarillon(): Carillon {
  const carillon = useContext(Context);
  if (!carillon) throw new Error("This component must be inside a <CarillonProvider>.");
  return carillon;
}
