import { View } from './view.js';

export const ALL = '*';

class Tile {
	#end = new AbortController();

	constructor(template, client, id, onChoose) {
		this.element = template.content.firstElementChild.cloneNode(true);
		[this.video, this.frozen, this.button] = this.element.children;
		this.view = new View(this.video, client, id, this.#end);
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
	#used = []; // clients
	#listed = '';

	constructor(select, stage, template, main) {
		Object.assign(this, { select, stage, template, main });
		if (this.chosen === ALL) main.client.all = true;
		else main.client.camera = this.chosen;
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
		const clients = new Map(ids.map((id) => [id, client.beside(id)]));
		const used = new Set(clients.values()).add(client);
		for (const one of this.#used) if (!used.has(one)) one.stop();
		this.#used = used;
		for (const [id, tile] of this.#tiles) {
			if (tile.view.client === clients.get(id)) continue;
			this.#tiles.delete(id);
			tile.close();
		}
		for (const [id, from] of clients) {
			if (!this.#tiles.has(id)) this.#open(id, from);
			this.#tiles.get(id).update(senders.get(id).name || id);
		}
	}

	#open(id, client) {
		const tile = new Tile(this.template, client, id, () => this.choose(id));
		this.#tiles.set(id, tile);
		this.stage.append(tile.element);
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
