/** A request without a body, with the headers given as lines. */
export function request(method: string, path: string, ...headers: string[]): string {
  return [`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers, '', ''].join('\r\n');
}

/** The body of an answer, without the frame of each of its chunks. The last may be missing. */
export function body(answer: string): string {
  const from = answer.indexOf('\r\n\r\n') + 4;
  if (!/^Transfer-Encoding: chunked\r$/im.test(answer.slice(0, from))) return answer.slice(from);
  let bytes = Buffer.from(answer.slice(from));
  const chunks: Buffer[] = [];
  for (;;) {
    const size = /^([\da-f]+)\r\n/.exec(bytes.toString('latin1', 0, 20));
    if (size?.[1] === undefined) return Buffer.concat(chunks).toString();
    const end = size[0].length + Number.parseInt(size[1], 16);
    chunks.push(bytes.subarray(size[0].length, end));
    bytes = bytes.subarray(end + 2);
  }
}
