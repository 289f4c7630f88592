/** What the leak tests measured, as lines that docs/assurance.md takes its figures from. */

export function report(scenario: number, text: string): void {
  console.log(`scenario ${scenario}: ${text}`);
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
