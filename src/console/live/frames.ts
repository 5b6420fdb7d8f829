/** One message of Server-Sent Events. */
export interface Frame {
  readonly event: string;
  readonly data: string;
  /** Where to go on after it; undefined: as before. */
  readonly id: string | undefined;
}

/** Makes frames of text as it comes. Comments are passed over. */
export function frameReader(): (text: string) => Frame[] {
  let rest = '';
  return (text) => {
    const parts = (rest + text).split('\n\n');
    rest = parts.pop() ?? '';
    return parts.flatMap((part) => {
      const fields = new Map<string, string>();
      for (const text of part.split('\n')) {
        const at = text.indexOf(':');
        if (at <= 0) continue;
        const name = text.slice(0, at);
        const value = text.slice(at + 1).replace(/^ /, '');
        const before = fields.get(name);
        fields.set(name, before === undefined ? value : `${before}\n${value}`);
      }
      if (!fields.has('data') && !fields.has('id')) return [];
      return [
        { event: fields.get('event') ?? 'message', data: fields.get('data') ?? '', id: fields.get('id') },
      ];
    });
  };
}
