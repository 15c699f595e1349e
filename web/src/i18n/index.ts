/** The texts of the page, in the language of the browser or the one that the user has chosen. */

import { ref } from "vue";
import { readStored, store } from "../storage";
import { en } from "./en";
import { ptBR } from "./pt-BR";

export const LANGUAGES = { en: "English", "pt-BR": "Português (Brasil)" } as const;
export type Language = keyof typeof LANGUAGES;
export type MessageKey = keyof typeof en;

/** A text with `{name}` for a value, or one for each plural form, which `{count}` decides. */
export type MessageText = string | { one: string; other: string };
export type Messages = Record<MessageKey, MessageText>;

const MESSAGES: Record<Language, Messages> = { en, "pt-BR": ptBR };
const STORED = "pamps:language";

/** Return the first language of the browser that the page has, or English. */
function browserLanguage(): Language {
  for (const tag of navigator.languages) {
    if (tag.startsWith("pt")) return "pt-BR";
    if (tag.startsWith("en")) return "en";
  }
  return "en";
}

function initialLanguage(): Language {
  const stored = readStored(STORED);
  return stored && stored in LANGUAGES ? (stored as Language) : browserLanguage();
}

export const language = ref<Language>(initialLanguage());
document.documentElement.lang = language.value;

export function setLanguage(chosen: Language): void {
  language.value = chosen;
  document.documentElement.lang = chosen;
  store(STORED, chosen);
}

/** Return a text in the current language, with its values filled in. */
export function t(key: MessageKey, values: Record<string, string | number> = {}): string {
  const message = MESSAGES[language.value][key];
  let text = message as string;
  if (typeof message !== "string") {
    // Not Intl.PluralRules, by which Portuguese would have "0 seguidor".
    text = values.count === 1 ? message.one : message.other;
  }
  return text.replace(/\{(\w+)\}/g, (placeholder, name: string) => {
    const value = values[name];
    return typeof value === "number" ? formatNumber(value) : (value ?? placeholder);
  });
}

/** Return a duration as people say it, such as "40 seconds", "5 minutes" or "12 hours". */
export function formatDuration(seconds: number): string {
  const [unit, size] =
    seconds < 120
      ? (["second", 1] as const)
      : seconds < 7200
        ? (["minute", 60] as const)
        : (["hour", 3600] as const);
  const options = { style: "unit", unit, unitDisplay: "long" } as const;
  return new Intl.NumberFormat(language.value, options).format(Math.ceil(seconds / size));
}

/** Return a number as people write it, shortened from ten thousand on: 1,234 and 12K. */
export function formatNumber(value: number): string {
  const notation = value < 10_000 ? "standard" : "compact";
  return new Intl.NumberFormat(language.value, { notation }).format(value);
}

/** Return date and time in full. */
export function formatDate(date: string): string {
  return new Intl.DateTimeFormat(language.value, { dateStyle: "long", timeStyle: "short" }).format(
    new Date(date),
  );
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** Return how long ago a date is: "5m ago", "1d ago"; after a week, the date. */
export function formatAge(date: string, now: number): string {
  const seconds = (now - new Date(date).getTime()) / 1000;
  if (seconds < 60) return t("time.now");
  if (seconds >= 7 * 86_400) {
    const year = new Date(date).getFullYear() === new Date(now).getFullYear();
    return new Intl.DateTimeFormat(language.value, {
      day: "numeric",
      month: "short",
      year: year ? undefined : "numeric",
    }).format(new Date(date));
  }
  const [unit, length] = UNITS.find(([, length]) => seconds >= length)!;
  return new Intl.RelativeTimeFormat(language.value, { style: "narrow" }).format(
    -Math.floor(seconds / length),
    unit,
  );
}
