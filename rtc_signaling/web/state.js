/**
 * What the client is doing, in one word and a cause: see `describeState`.
 */

/** Nothing came for so long: media is dead, if ... */
export const DEAD_S = 5;
/** ... and if the camera came (back) after the set-up. */
export const DEAD_WITH_NEW_SENDER_S = 3;

/**
 * Return {state, cause, retryAt?, flows, ...}.
 *
 * `state` is connecting, authenticating, waiting, negotiating, live, reconnecting, refused or
 * failed; `cause` says why, where there is a why; `retryAt` is the next attempt in ms of
 * performance.now(); `flows` tells whether media comes, whatever the state.
 *
 * Args:
 *   link: The `Link`.
 *   media: The `Media`, or null.
 *   senders: The cameras that are there, by client_id.
 *   left: The `peer_left` of the last camera, or null.
 *   failure: Why video could not be set up, {cause, retryAt}, or null.
 */
export function describeState({ link, media, senders, left, failure }) {
  const flows = media?.flows(DEAD_WITH_NEW_SENDER_S) ?? false;
  if (link.state !== 'online') return { ...describeLink(link), flows };
  const peer = senders.get(media?.sender);
  const name = peer ? peer.name || peer.client_id : null;
  const gone = media !== null && !peer;
  if (media?.connected && (media.flows(DEAD_S) || !gone)) {
    return { state: 'live', cause: gone ? 'sender_left' : null, name, flows };
  }
  if (senders.size === 0) {
    const cause = gone || left ? 'lost' : 'no_sender';
    return { state: 'waiting', cause, reason: left?.reason ?? null, flows };
  }
  if (media?.waits) return { state: 'waiting', cause: 'lost', reason: 'away', name, flows };
  if (failure) return { state: 'failed', ...failure, name, flows };
  return { state: 'negotiating', cause: null, name, flows };
}

function describeLink(link) {
  const { kind = null, code = null, error = null } = link.cause ?? {};
  if (link.state === 'failed') return { state: 'failed', cause: 'closed', code, error };
  if (link.state === 'refused') {
    const cause = kind === 'long_token' ? kind : link.token ? 'wrong_token' : 'no_token';
    return { state: 'refused', cause, code, error };
  }
  const state = link.wasOnline ? 'reconnecting'
    : link.state === 'authenticating' ? 'authenticating' : 'connecting';
  return { state, cause: kind, code, error, retryAt: link.retryAt };
}
