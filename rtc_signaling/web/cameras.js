/** Several cameras: the choice of one, or a grid of all. */

import { senderOf } from './client.js';
import { View } from './view.js';

export const ALL = '*';

class Tile {
	#end = new AbortController();

	constructor(template, client, place, onChoose) {
		this.element = template.content.firstElementChild.cloneNode(true);
		[this.video, this.frozen, this.button] = this.element.children;
		this.view = new View(this.video, client, place, this.#end);
		this.button.onclick = onChoose;
	}

	update(name) {
		const { frozenFor, pill, age, moves } = this.view.read();
		this.element.toggleAttribute('data-frozen', frozenFor);
		this.frozen.textContent = frozenFor;
		this.frozen.hidden = !frozenFor;
		this.button.textContent = `${name} · ${pill}${moves ? ` · ${age.text}` : ''}`;
		this.video.ariaLabel = `Camera ${name}`;
	}

	close() {
		this.#end.abort();
		this.element.remove();
	}
}

export class Cameras {
	chosen = new URLSearchParams(location.search).get('camera');
	#tiles = new Map(); // by id
	#others = new Map(); // client_id of another sender than the main one's -> client
	#listed = '';

	constructor(select, stage, template, main) {
		Object.assign(this, { select, stage, template, main });
		main.client.all = this.chosen === ALL;
		if (!main.client.all) main.client.camera = this.chosen;
		select.onchange = () => this.choose(select.value);
	}

	choose(id) {
		this.chosen = id;
		history.replaceState(history.state, '', `?camera=${encodeURIComponent(id)}`);
		const { client } = this.main;
		client.choose(id === ALL ? client.camera : id, id === ALL);
		this.update();
	}

	update(shows = this.chosen === ALL) {
		const { client } = this.main;
		const { senders, sender } = client;
		this.#list(senders);
		const ids = shows ? [...senders.keys()].filter((id) => id !== sender) : [];
		const clients = new Map(ids.map((id) => [id, this.#clientOf(id)]));
		for (const [host, other] of this.#others) {
			if ([...clients.values()].includes(other)) continue;
			this.#others.delete(host);
			other.stop();
		}
		for (const [id, { view }] of this.#tiles) {
			if (view.client !== clients.get(id) || view.part?.id !== id) this.#close(id);
		}
		for (const [id, from] of clients) {
			const place = from.ids.indexOf(id);
			if (place < 0) continue;
			if (!this.#tiles.has(id)) this.#open(id, from, place);
			this.#tiles.get(id).update(senders.get(id).name || id);
		}
	}

	#clientOf(id) {
		const { client } = this.main;
		const host = senderOf(id);
		if (host === senderOf(client.sender)) return client;
		if (!this.#others.has(host)) this.#others.set(host, client.beside(id, true));
		return this.#others.get(host);
	}

	#open(id, client, place) {
		const tile = new Tile(this.template, client, place, () => this.choose(id));
		this.#tiles.set(id, tile);
		this.stage.append(tile.element);
	}

	#close(id) {
		this.#tiles.get(id).close();
		this.#tiles.delete(id);
	}

	#list(senders) {
		const options = [...senders.values()].map(({ client_id, name }) => [name || client_id, client_id]);
		this.select.hidden = options.length < 2;
		options.push(['All cameras', ALL]);
		if (JSON.stringify(options) !== this.#listed) {
			this.#listed = JSON.stringify(options);
			this.select.replaceChildren(...options.map((option) => new Option(...option)));
		}
		this.select.value = this.chosen === ALL ? ALL : this.main.client.sender;
	}
}
