/** One stream of live events for all tabs of a browser. */

import { followEvents, type Block } from "./events";

/** What a tab asks when it is opened, as it does not know the position of the stream. */
const ASK = "position";

/**
 * Take the blocks of the stream, also those that another tab reads, until the signal.
 *
 * The tab that has the lock reads the stream and tells the others. All know the position, so that
 * when this tab is closed, the one that gets the lock next goes on from there. Where a browser has
 * no locks, as on insecure origins, nothing is taken.
 */
export function shareEvents(name: string, take: (block: Block) => void, signal: AbortSignal): void {
  if (!navigator.locks || !("BroadcastChannel" in window)) return;
  const channel = new BroadcastChannel(name);
  let position = "";
  let isReader = false;

  function receive(block: Block): void {
    position = block.id;
    if (block.type) take(block);
  }

  channel.onmessage = ({ data }: MessageEvent<Block | typeof ASK>) => {
    if (data !== ASK) receive(data);
    else if (isReader && position) channel.postMessage({ id: position, type: "", data: null });
  };
  channel.postMessage(ASK);
  signal.addEventListener("abort", () => channel.close());

  function readAndTell(): Promise<void> {
    isReader = true;
    const tell = (block: Block) => {
      channel.postMessage(block);
      receive(block);
    };
    return followEvents(position, tell, signal);
  }

  // It ends by the signal.
  navigator.locks.request(name, { signal }, readAndTell).catch(() => {});
}
