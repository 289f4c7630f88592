/** From samples to tables. */

/** One row for each case and metric: median, extremes, and the ratio of medians to the case of its group marked `baseline`. */
export function summarize(cases, samples) {
  const rows = cases.flatMap(({ group, name, baseline = false }) => {
    const taken = samples.get(`${group}, ${name}`);
    return Object.keys(taken[0] ?? {}).map((unit) => {
      const values = taken.map((metrics) => metrics[unit]).sort((a, b) => a - b);
      return {
        group,
        name,
        unit,
        baseline,
        median: median(values),
        min: values[0],
        max: values.at(-1),
        samples: values,
      };
    });
  });
  return rows.map((row) => {
    const base = rows.find(({ group, unit, baseline }) => baseline && group === row.group && unit === row.unit);
    return { ...row, ratio: base ? row.median / base.median : undefined };
  });
}

export function markdown({ machine, rounds, results }) {
  const facts = Object.entries(machine).map(([name, value]) => `| ${name} | ${value} |`);
  return [
    '| | |',
    '|---|---|',
    ...facts,
    `| rounds | ${rounds}, interleaved |`,
    '',
    ...results.flatMap(sectionTable),
  ].join('\n');
}

function sectionTable({ title, note, skipped, rows }) {
  const heading = [`## ${title}`, ''];
  if (skipped) return [...heading, `Skipped: ${skipped}.`, ''];
  const lines = rows.map(({ group, name, unit, median, min, max, ratio }) => {
    const cells = [group, name, unit, figure(median), `${figure(min)} – ${figure(max)}`, ratio?.toFixed(2) ?? ''];
    return `| ${cells.join(' | ')} |`;
  });
  const table = ['| what | case | unit | median | range | ratio |', '|---|---|---|--:|--:|--:|', ...lines, ''];
  return note ? [...heading, note, '', ...table] : [...heading, ...table];
}

function median(sorted) {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function figure(value) {
  return value >= 1000
    ? Math.round(value).toLocaleString('en')
    : value >= 100
      ? value.toFixed(0)
      : value.toPrecision(3);
}
