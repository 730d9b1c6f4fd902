package answer

// Document calls the functions for the parts of an answer of an operation, as the
// schema has them: what to write for an object with these keys, a list or mapping,
// and a leaf. It is for tests that make answers up.
func Document(operation string, object func(keys []string, below func(key string)), many func(mapping bool, below func()), leaf func(text bool)) {
	top, known := schemaOf(operation)
	if !known {
		return
	}
	var walk func(n *node)
	walk = func(n *node) {
		switch n.kind {
		case object_:
			var keys []string
			for _, m := range n.members() {
				keys = append(keys, m.name)
			}
			object(keys, func(key string) { walk(&nodes[n.member(key).node]) })
		case list, mapping:
			many(n.kind == mapping, func() { walk(&nodes[n.elem]) })
		case text, free:
			leaf(true)
		case scalar:
			leaf(false)
		}
	}
	walk(top)
}

const object_ = object
