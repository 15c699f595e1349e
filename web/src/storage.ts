/** What this browser keeps between visits: localStorage, or memory where that is full or absent. */

const memory = new Map<string, string>();

export function readStored(name: string): string | null {
  try {
    return memory.get(name) ?? localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function store(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
    memory.delete(name);
  } catch {
    memory.set(name, value);
  }
}

export function removeStored(name: string): void {
  memory.delete(name);
  try {
    localStorage.removeItem(name);
  } catch {
    // There is nothing to remove.
  }
}

/** Remove everything whose name has this prefix. */
export function removeStoredWith(prefix: string): void {
  const names = [...memory.keys()];
  try {
    names.push(...Object.keys(localStorage));
  } catch {
    // There is only memory.
  }
  for (const name of names) if (name.startsWith(prefix)) removeStored(name);
}
