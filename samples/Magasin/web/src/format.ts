export type Language = "fr" | "en";

const locales: Readonly<Record<Language, string>> = { fr: "fr-FR", en: "en-IE" };

/** Formats money, numbers and times for a language, in the browser's time zone. */
export interface Format {
  readonly money: (cents: number) => string;
  readonly moneyShort: (cents: number) => string;
  readonly number: (value: number) => string;
  readonly time: (moment: string | number) => string;
  readonly timeExact: (moment: string | number) => string;
  readonly moment: (moment: string | number) => string;
  readonly weekday: (day: string) => string;
  readonly dayLong: (day: string) => string;
  readonly latency: (ms: number) => string;
}

export function createFormat(language: Language, now: () => number = Date.now): Format {
  const locale = locales[language];
  const money = new Intl.NumberFormat(locale, { style: "currency", currency: "EUR" });
  const moneyShort = new Intl.NumberFormat(locale, { style: "currency", currency: "EUR", maximumFractionDigits: 0 });
  const number = new Intl.NumberFormat(locale);
  const time = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
  const timeExact = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const date = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
  const weekday = new Intl.DateTimeFormat(locale, { weekday: "short", timeZone: "UTC" });
  const dayLong = new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long", timeZone: "UTC" });
  const sameDay = (a: Date, b: Date) => a.toDateString() === b.toDateString();
  // A day is a calendar date, not a point in time. It is parsed in UTC so that no time zone shifts it.
  const day = (text: string) => new Date(`${text.slice(0, 10)}T00:00:00Z`);

  return {
    money: (cents) => money.format(cents / 100),
    moneyShort: (cents) => moneyShort.format(cents / 100),
    number: (value) => number.format(value),
    time: (moment) => time.format(new Date(moment)),
    timeExact: (moment) => timeExact.format(new Date(moment)),
    moment(moment) {
      const when = new Date(moment);
      return sameDay(when, new Date(now())) ? time.format(when) : `${date.format(when)}, ${time.format(when)}`;
    },
    weekday: (text) => weekday.format(day(text)),
    dayLong: (text) => dayLong.format(day(text)),
    latency(ms) {
      if (ms < 1) return "< 1 ms";
      return ms < 10_000 ? `${number.format(Math.round(ms))} ms` : `${number.format(Math.round(ms / 1000))} s`;
    },
  };
}

/** Parses a typed price into cents: `12,50`, `12.5`, `1 200`, `3 €`. Undefined when it is not a price. */
export function parsePrice(text: string): number | undefined {
  const clean = text.replace(/[\s\u00a0\u202f€]/g, "").replace(",", ".");
  if (!/^\d{1,7}(\.\d{0,2})?$/.test(clean)) return undefined;
  return Math.round(Number(clean) * 100);
}

/** Formats a price for an input field. */
export const priceText = (cents: number, language: Language) => (cents / 100).toFixed(2).replace(".", language === "fr" ? "," : ".");

/** Parses a non-negative whole number. Undefined when it is not one. */
export function parseCount(text: string): number | undefined {
  const clean = text.trim();
  return /^\d{1,7}$/.test(clean) ? Number(clean) : undefined;
}

/** Normalizes text for a search: ignores case and accents. */
export const searchable = (text: string) => text.normalize("NFD").replace(/\p{Diacritic}/gu, "").toLowerCase();
