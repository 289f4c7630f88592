import { describe, expect, it } from 'vitest';
import { EventLog, MAX_EVENT_LOG_LENGTH, MAX_EVENTS } from '../../src/api/event-log.ts';

const ids = (log: EventLog, after: string): string[] => log.after(after).events.map(({ id }) => id);

describe('the log of events', () => {
  it('numbers them, and writes them as server-sent events (HTML §9.2.5)', () => {
    const log = new EventLog('ab');
    expect(log.append('state', { state: 'connected' })).toEqual({
      id: 'ab-1',
      text: 'id: ab-1\nevent: state\ndata: {"state":"connected"}\n\n',
    });
    expect(log.append('state', {}).id).toBe('ab-2');
  });

  it('keeps a text with line ends in one data line', () => {
    expect(new EventLog('ab').append('log', { text: 'a\nb\r\n\ndata: c' }).text.split('\n')).toHaveLength(5);
  });

  it('replays exactly what came after an id', () => {
    const log = new EventLog('ab');
    for (let i = 0; i < 4; i++) log.append('state', i);
    expect(ids(log, 'ab-2')).toEqual(['ab-3', 'ab-4']);
    expect(log.after('ab-4')).toEqual({ gap: false, events: [] });
    expect(log.after('ab-0')).toMatchObject({ gap: false, events: { length: 4 } });
  });

  it('says that there is a gap for an id of another start, of the future, of no sense, or one that is too old', () => {
    const log = new EventLog('ab');
    for (let i = 0; i < MAX_EVENTS + 10; i++) log.append('state', i);
    for (const id of ['cd-3', 'ab-99999', 'x', '', 'ab-9', 'ab--1', 'ab-1e3'])
      expect(log.after(id)).toMatchObject({ gap: true, events: { length: MAX_EVENTS } });
    expect(log.after('ab-10')).toMatchObject({ gap: false, events: { length: MAX_EVENTS } });
    expect(log.after('ab-11').events[0]?.id).toBe('ab-12');
  });

  it('is bounded by length too', () => {
    const log = new EventLog('ab');
    for (let i = 0; i < 100; i++) log.append('log', 'x'.repeat(10_000));
    const { events } = log.after('');
    expect(events.at(-1)?.id).toBe('ab-100');
    expect(events.reduce((sum, { text }) => sum + text.length, 0)).toBeLessThanOrEqual(MAX_EVENT_LOG_LENGTH);
  });
});
