export const DEAD_S = 5; // nothing came for so long: media is dead
export const DEAD_IF_NEW_S = 3; // if the camera came (back) since

export function describeState({ link, media, senders, camera, left, failure, here }) {
	const flows = media?.flows(DEAD_IF_NEW_S) ?? false;
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
		return { state, cause: token ? 'wrong_token' : 'no_token', code, error };
	}
	const waits = state === 'authenticating' ? state : 'connecting';
	return { state: wasOnline ? 'reconnecting' : waits, cause: kind, code, error, retryAt };
}
