import { Monitor, Moon, Settings2, Sun, type LucideIcon } from "lucide-react";
import { useState, type FormEvent } from "react";
import { language, languages, theme, themes, useSettings, type Theme } from "../settings";
import { useStored } from "../stored";
import { till } from "../till";
import { Button, Dialog, Field, IconButton } from "./basics";

const themeIcons: Readonly<Record<Theme, LucideIcon>> = { auto: Monitor, light: Sun, dark: Moon };
const languageNames = { fr: "Français", en: "English" } as const;

/** One button per language; the language in use is marked. */
export function LanguageSwitch() {
  const { t } = useSettings();
  const current = useStored(language);
  return (
    <div className="segmented only-wide" role="group" aria-label={t.settings.language}>
      {languages.map((one) => (
        <button
          key={one} type="button" lang={one} aria-pressed={one === current} title={languageNames[one]} onClick={() => language.set(one)}
        >
          <span aria-hidden>{one.toUpperCase()}</span>
          <span className="visually-hidden">{languageNames[one]}</span>
        </button>
      ))}
    </div>
  );
}

export function ThemeButton() {
  const { t } = useSettings();
  const current = useStored(theme);
  const next = themes[(themes.indexOf(current) + 1) % themes.length] ?? "auto";
  return (
    <span className="only-wide">
      <IconButton
        icon={themeIcons[current]} label={`${t.settings.theme}${t.common.colon}${t.settings[current]}`} onClick={() => theme.set(next)}
      />
    </span>
  );
}

/** The name of this till, and the settings that do not fit in the top bar of a phone. */
export function SettingsButton() {
  const { t } = useSettings();
  const name = useStored(till);
  const [open, setOpen] = useState(false);
  return (
    <>
      <button
        type="button" className="button quiet till-button" aria-haspopup="dialog"
        aria-label={`${t.settings.open}${t.common.colon}${name}`} onClick={() => setOpen(true)}
      >
        <Settings2 aria-hidden size={18} />
        <span className="till-name">{name}</span>
      </button>
      {open && <SettingsDialog onClose={() => setOpen(false)} />}
    </>
  );
}

function SettingsDialog({ onClose }: { onClose: () => void }) {
  const { t } = useSettings();
  const [name, setName] = useState(till.get());
  const [missing, setMissing] = useState(false);
  const look = useStored(theme);
  const spoken = useStored(language);

  const save = (event: FormEvent) => {
    event.preventDefault();
    const wanted = name.trim();
    setMissing(wanted === "");
    if (wanted === "") return;
    till.set(wanted);
    onClose();
  };

  return (
    <Dialog title={t.settings.title} onClose={onClose}>
      <form onSubmit={save}>
        <Field
          label={t.settings.till} value={name} onChange={setName} maxLength={40} autoComplete="off"
          help={t.settings.tillHelp} error={missing ? t.common.required : undefined}
        />
        <fieldset>
          <legend>{t.settings.language}</legend>
          <div className="choices">
            {languages.map((one) => (
              <label key={one} className="choice">
                <input type="radio" name="language" checked={spoken === one} onChange={() => language.set(one)} />
                <span lang={one}>{languageNames[one]}</span>
              </label>
            ))}
          </div>
        </fieldset>
        <fieldset>
          <legend>{t.settings.theme}</legend>
          <div className="choices">
            {themes.map((one) => {
              const Icon = themeIcons[one];
              return (
                <label key={one} className="choice">
                  <input type="radio" name="theme" checked={look === one} onChange={() => theme.set(one)} />
                  <span><Icon aria-hidden size={16} /> {t.settings[one]}</span>
                </label>
              );
            })}
          </div>
        </fieldset>
        <div className="dialog-foot">
          <Button onClick={onClose}>{t.common.cancel}</Button>
          <Button look="primary" type="submit">{t.common.save}</Button>
        </div>
      </form>
    </Dialog>
  );
}
