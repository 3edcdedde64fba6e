/** Two minutes of gaps at a frame a second. */
const FRAMES_KEPT = 121;

/** One frame as it arrived. */
export interface Frame {
  id: string;
  type: string;
  data: string;
  /** ms since the epoch. */
  time: number;
  /** Whether its connection brought no other after it. */
  isLast: boolean;
}

/** The frames, newest first, with one more. */
export function withFrame(frames: readonly Frame[], message: MessageEvent<string>): Frame[] {
  const { lastEventId: id, type, data, timeStamp } = message;
  const frame = { id, type, data, time: performance.timeOrigin + timeStamp, isLast: false };
  return [frame, ...frames].slice(0, FRAMES_KEPT);
}

/** The frames with a mark on the newest: what comes next comes over another connection. */
export function withBreak([newest, ...others]: readonly Frame[]): Frame[] {
  return newest ? [{ ...newest, isLast: true }, ...others] : [];
}
