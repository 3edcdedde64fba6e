/** How much longer a proof runs than by default: `PROOF_TIMES=20 npm run proof`. */
export const times = Number(process.env['PROOF_TIMES'] ?? 1);

/** Decides what is random in a proof. A failure names it: `PROOF_SEED=42` repeats that run. */
export const seed = Number(process.env['PROOF_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
