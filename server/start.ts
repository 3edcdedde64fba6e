import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readSettings, type Settings } from './settings.ts';

// How main.ts and dev.ts start. What is in the way ends the process with one line and exit code 1.

/** Reads the settings from the environment. */
export function settingsOrExit(): Settings {
  try {
    return readSettings();
  } catch (error) {
    return exit(error instanceof Error ? error.message : String(error));
  }
}

/** Listens, and prints where a browser on this machine reaches the server. `command` is what started it. */
export function listenOrExit(server: Server, port: number, host: string | undefined, command: string): void {
  server.on('error', (error: NodeJS.ErrnoException) => {
    if (server.listening) return console.error(error);
    if (error.code !== 'EADDRINUSE')
      return exit(`HOST, PORT: expected an address to listen on, found ${error.message}`);
    const owner = process.platform === 'darwin' && port === 7000 ? ' (on macOS usually by AirPlay)' : '';
    exit(`PORT: expected a free one, found ${port} in use${owner}; try PORT=${port + 1} ${command}`);
  });
  server.listen({ port, host }, () => {
    const isEverywhere = host === undefined || host === '::' || host === '0.0.0.0';
    const name = isEverywhere ? 'localhost' : host.includes(':') ? `[${host}]` : host;
    console.log(`http://${name}:${(server.address() as AddressInfo).port}`);
  });
}

/** Ends the process with one line on standard error and exit code 1. */
export function exit(line: string): never {
  console.error(line);
  process.exit(1);
}
