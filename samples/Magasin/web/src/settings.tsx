import { createContext, useContext, useEffect, useMemo, type ReactNode } from "react";
import { createFormat, type Format, type Language } from "./format";
import { createStored, useStored } from "./stored";
import { texts, type Texts } from "./texts";

export type Theme = "auto" | "light" | "dark";

export const languages: readonly Language[] = ["fr", "en"];
export const themes: readonly Theme[] = ["auto", "light", "dark"];

export const language = createStored<Language>("magasin.langue", () => "fr", (text): text is Language => text === "fr" || text === "en");
export const theme = createStored<Theme>("magasin.theme", () => "auto", (text): text is Theme => themes.some((one) => one === text));

interface Settings { readonly t: Texts; readonly format: Format; readonly lang: Language }

const Context = createContext<Settings>({ t: texts.fr, format: createFormat("fr"), lang: "fr" });

export function SettingsProvider({ children }: { children: ReactNode }) {
  const lang = useStored(language);
  const look = useStored(theme);

  useEffect(() => { document.documentElement.lang = lang; }, [lang]);
  useEffect(() => {
    if (look === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = look;
  }, [look]);

  const settings = useMemo(() => ({ t: texts[lang], format: createFormat(lang), lang }), [lang]);
  return <Context value={settings}>{children}</Context>;
}

/** The texts, formats and language in use. */
export const useSettings = () => useContext(Context);
