import { measureInRounds } from './measure.ts';
import { baselines, nodeServers, otherRuntimes } from './servers.ts';
const pick = process.argv[2] ? new RegExp(process.argv[2]) : /./;
const cs = [...baselines(), ...[20, 22, 24].flatMap(nodeServers), ...otherRuntimes()].filter((c) => pick.test(`${c.name}, ${c.runtime}`));
for (const r of await measureInRounds(cs as any, [{ connections: 10000, tickMs: 1000 }], Number(process.argv[3] ?? 1), 3000)) console.log(r.contender.name, r.contender.runtime, r.rounds.map((s) => `${s.cpu.toFixed(1)} µs ${s.kilobytes.toFixed(1)} kB ${s.latenessMs.toFixed(1)} ms ${s.lost}`).join(' | '));
