package operation

import "strings"

// judgeNetworkMode is for host, none, container:… or a network's name or id.
func (o *Operation) judgeNetworkMode(_ map[string]any, value any) {
	mode, _ := value.(string)
	if strings.HasPrefix(mode, "container:") {
		o.judgeNamespace(mode)
		return
	}
	o.joinNetwork(mode)
}

// joinNetwork is for a network by name or id. The Engine's own bridge and none are
// nobody's: in the bridge a container is found by its address alone.
func (o *Operation) joinNetwork(ref string) {
	o.hazardIf(HazardHostNamespace, strings.EqualFold(ref, "host"))
	o.hazardIf(HazardNamedNetwork, !strings.EqualFold(ref, "host") && userNetwork(ref, nil) != "")
}

func (o *Operation) judgeEndpoints(_ map[string]any, value any) {
	endpoints, _ := value.(map[string]any)
	for network := range endpoints {
		o.joinNetwork(network)
	}
}

// judgeNetworkID: the daemon prefers it to the name of the network, unless that
// is one of its own. No name at all is none of its own.
func (o *Operation) judgeNetworkID(_ map[string]any, value any) {
	name := o.element
	if o.ID == "NetworkConnect" {
		name = o.Target
	}
	if id, _ := value.(string); name == "" || userNetwork(name, nil) != "" {
		o.joinNetwork(id)
	}
}

// judgeMACAddress lets pass what inspect showed of an endpoint, which has an id
// then: it is sent back by who makes a container anew. Whoever forges that has
// gained nothing, as NET_RAW, which every container has by default, is enough to
// send frames from any address.
func (o *Operation) judgeMACAddress(endpoint map[string]any, value any) {
	o.hazardIf(HazardNetworkAddress, isSet(value) && text(endpoint, "EndpointID") == "")
}

// judgeLinks is for container[:alias], whose environment the new container is given.
func (o *Operation) judgeLinks(_ map[string]any, value any) {
	for _, ref := range texts(value) {
		ref, _, _ = strings.Cut(ref, ":")
		o.hazard(HazardLink)
		o.enter(ref)
	}
}
