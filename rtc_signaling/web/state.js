/** What the client is doing, in one word and a cause. */

/** Nothing came for so long: media is dead, if ... */
export const DEAD_S = 5;
/** ... and if the camera came (back) after the set-up. */
export const DEAD_WITH_NEW_SENDER_S = 3;

/**
 * Return {state, cause, retryAt?, flows, ...}.
 *
 * `state` is connecting, authenticating, waiting, negotiating, live, reconnecting, refused or
 * failed; `cause` says why, where there is a why; `retryAt` is the next attempt in ms of
 * performance.now(); `flows` tells whether media comes, whatever the state. `left` is the last
 * camera's `peer_left`, `failure` why video could not be set up, `here` whether there is a camera.
 */
export function describeState({ link, media, senders, camera, left, failure, here }) {
	const flows = media?.flows(DEAD_WITH_NEW_SENDER_S) ?? false;
	if (link.state !== 'online') return { ...describeLink(link), flows };
	const peer = senders.get(media?.sender ?? camera);
	const name = peer ? peer.name || peer.client_id : null;
	const gone = media !== null && !peer;
	if (media?.connected && (media.flows(DEAD_S) || !gone)) {
		return { state: 'live', cause: gone ? 'sender_left' : null, name, flows };
	}
	if (!here) {
		const cause = gone || left ? 'lost' : 'no_sender';
		return { state: 'waiting', cause, reason: left?.reason ?? null, flows };
	}
	if (media?.waits) return { state: 'waiting', cause: 'lost', reason: 'away', name, flows };
	if (failure) return { state: 'failed', ...failure, name, flows };
	return { state: 'negotiating', cause: null, name, flows };
}

function describeLink({ state, cause, token, wasOnline, retryAt }) {
	const { kind = null, code = null, error = null } = cause ?? {};
	if (state === 'failed') return { state, cause: 'closed', code, error };
	if (state === 'refused') {
		const why = kind === 'long_token' ? kind : token ? 'wrong_token' : 'no_token';
		return { state, cause: why, code, error };
	}
	const waits = state === 'authenticating' ? state : 'connecting';
	return { state: wasOnline ? 'reconnecting' : waits, cause: kind, code, error, retryAt };
}
