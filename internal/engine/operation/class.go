package operation

import (
	"slices"
	"strings"
)

// class says what a key of a body or a parameter of a query does. The table is
// gen/fields.go, and the constants for what it has are generated from it.
type class uint8

const (
	unclassified class = iota // nobody has said: unknown input
	harmless                  //
	named                     // harmless, and a name, a path or labels: see Outline
	private                   // harmless, and may be a secret: its keys are kept, and its values are not
	moment                    // harmless, and another one each time
	part                      // told with the key that holds it
	railed                    // only admin may send the operation at all
)

// quiet says that a key says nothing by itself.
func (c class) quiet() bool {
	return c == harmless || c == named || c == private || c == moment || c == part || c == railed
}

// function is a class whose keys count by their values.
type function struct {
	// judge is given the object that holds the key, nil for a parameter, and the
	// key's value, which is not null.
	judge   func(o *Operation, in map[string]any, value any)
	hazards []Hazard // those that it can tell
}

var functions = [len(classNames)]function{
	byBinds:          {(*Operation).judgeBinds, []Hazard{HazardHostPath, HazardEngineSocket, HazardVitrineFiles, HazardNamedVolume, HazardPropagation}},
	byBuilder:        {unless(HazardBuildKit, "1"), []Hazard{HazardBuildKit}},
	byCgroupParent:   {(*Operation).judgeCgroupParent, []Hazard{HazardCgroupParent}},
	byCgroupns:       {(*Operation).judgeCgroupns, []Hazard{HazardHostNamespace}},
	byChanges:        {(*Operation).judgeChanges, []Hazard{HazardEnv}},
	byCheckpoint:     {(*Operation).judgeCheckpoint, nil},
	byContainer:      {(*Operation).judgeContainer, nil},
	byContainerName:  {(*Operation).judgeContainerName, []Hazard{HazardLimits}},
	byCpuPeriod:      {(*Operation).judgeCPUPeriod, []Hazard{HazardLimits}},
	byCpuQuota:       {(*Operation).judgeCPUQuota, []Hazard{HazardLimits}},
	byCpuShares:      {(*Operation).judgeCPUShares, []Hazard{HazardLimits}},
	byDevice:         {(*Operation).judgeDevice, []Hazard{HazardDevices, HazardEngineSocket, HazardVitrineFiles}},
	byDeviceRequests: {(*Operation).judgeAnyDevice, []Hazard{HazardDevices}},
	byDeviceRules:    {(*Operation).judgeAnyDevice, []Hazard{HazardDevices}},
	byEndpoints:      {(*Operation).judgeEndpoints, []Hazard{HazardNamedNetwork, HazardHostNamespace}},
	byEnv:            {(*Operation).judgeEnv, []Hazard{HazardEnv}},
	byExecPrivileged: {(*Operation).judgeExecPrivileged, []Hazard{HazardPrivileged}},
	byExecUser:       {(*Operation).judgeExecUser, nil},
	byImage:          {(*Operation).judgeImage, nil},
	byImportSource:   {unless(HazardOutbound, "-"), []Hazard{HazardOutbound}},
	byInitPath:       {unless(HazardRuntime), []Hazard{HazardRuntime, HazardHostPath, HazardEngineSocket, HazardVitrineFiles}},
	byInterval:       {(*Operation).judgeInterval, []Hazard{HazardLimits}},
	byIpamDriver:     {unless(HazardNetworkDriver, "default"), []Hazard{HazardNetworkDriver}},
	byIpc:            {namespace("private", "shareable", "none"), []Hazard{HazardHostNamespace, HazardJoinedNamespace}},
	byIsolation:      {unless(HazardRuntime, "default"), []Hazard{HazardRuntime}},
	byLabels:         {(*Operation).judgeLabels, []Hazard{HazardLimits}},
	byLinks:          {(*Operation).judgeLinks, []Hazard{HazardLink}},
	byLogDetails:     {(*Operation).judgeLogDetails, []Hazard{HazardEnv}},
	byLogDriver:      {(*Operation).judgeLogDriver, []Hazard{HazardLogDriver}},
	byLogOptions:     {(*Operation).judgeLogOptions, []Hazard{HazardLogDriver, HazardLimits, HazardEngineSocket, HazardVitrineFiles}},
	byMacAddress:     {(*Operation).judgeMACAddress, []Hazard{HazardNetworkAddress}},
	byMaskedPaths:    {(*Operation).judgeMaskedPaths, []Hazard{HazardUnmasked}},
	byMountSource:    {(*Operation).judgeMountSource, []Hazard{HazardHostPath, HazardEngineSocket, HazardVitrineFiles, HazardNamedVolume}},
	byMountType:      {unless(HazardVolumeDriver, "bind", "volume", "tmpfs", "image", "npipe"), []Hazard{HazardVolumeDriver}},
	byNamespace:      {namespace(), []Hazard{HazardHostNamespace, HazardJoinedNamespace}},
	byNetworkDriver:  {unless(HazardNetworkDriver, "bridge", "overlay"), []Hazard{HazardNetworkDriver}},
	byNetworkID:      {(*Operation).judgeNetworkID, []Hazard{HazardNamedNetwork, HazardHostNamespace}},
	byNetworkMode:    {(*Operation).judgeNetworkMode, []Hazard{HazardHostNamespace, HazardJoinedNamespace, HazardNamedNetwork}},
	byOtherLabels:    {(*Operation).judgeOtherLabels, []Hazard{HazardLimits}},
	byOutputs:        {(*Operation).judgeOutputs, []Hazard{HazardOutbound}},
	byPropagation:    {unless(HazardPropagation, "private", "rprivate", "slave", "rslave"), []Hazard{HazardPropagation}},
	byPsArgs:         {(*Operation).judgePsArgs, []Hazard{HazardEnv}},
	byPull:           {(*Operation).judgePull, []Hazard{HazardOutbound}},
	byReadonlyPaths:  {(*Operation).judgeReadonlyPaths, []Hazard{HazardUnmasked}},
	byRemote:         {unless(HazardOutbound, "client-session"), []Hazard{HazardOutbound}},
	byRepository:     {(*Operation).judgeRepository, nil},
	byRollback:       {(*Operation).judgeRollback, nil},
	byRuntime:        {(*Operation).judgeRuntime, []Hazard{HazardRuntime}},
	bySecurityMode:   {unless(HazardSecurityOpt, "default"), []Hazard{HazardSecurityOpt}},
	bySecurityOpt:    {(*Operation).judgeSecurityOpt, []Hazard{HazardSecurityOpt}},
	byStopTimeout:    {(*Operation).judgeStopTimeout, []Hazard{HazardLimits}},
	byTaskRuntime:    {(*Operation).judgeTaskRuntime, nil},
	byTmpfs:          {(*Operation).judgeTmpfs, []Hazard{HazardPropagation}},
	byVolumeDriver:   {unless(HazardVolumeDriver, "local"), []Hazard{HazardVolumeDriver}},
	byVolumeOptions:  {(*Operation).judgeVolumeOptions, []Hazard{HazardVolumeDriver, HazardHostPath, HazardEngineSocket, HazardVitrineFiles}},
	byVolumes:        {(*Operation).judgeVolumes, []Hazard{HazardHostPath, HazardEngineSocket, HazardVitrineFiles, HazardNamedVolume, HazardPropagation}},
	byVolumesFrom:    {(*Operation).judgeVolumesFrom, []Hazard{HazardVolumesFrom}},
}

// unless is for a text with a few harmless values, "" among them.
func unless(h Hazard, harmless ...string) func(*Operation, map[string]any, any) {
	return func(o *Operation, _ map[string]any, value any) {
		s, _ := value.(string)
		o.hazardIf(h, s != "" && !slices.Contains(harmless, s))
	}
}

// judgeFields judges the parameters of the query and the keys of the body, each
// by its class.
func (o *Operation) judgeFields(e *entry) {
	for i := e.params.lo; i < e.params.hi; i++ {
		p := &paramTable[i]
		values, given := o.Query[p.name]
		if !given || p.class.quiet() && !nodeTable[p.json].judged {
			continue
		}
		o.at = append(o.at[:0], "?"+p.name)
		value := o.parameter(p, values)
		o.judgeKey(p.class, nil, value)
		o.walk(p.json, value)
	}
	o.at = o.at[:0]
	o.walk(e.schema, o.Body)
}

// parameter is a query parameter's value as a key's would be.
func (o *Operation) parameter(p *param, values []string) any {
	switch {
	case p.json != 0:
		return o.Params[p.name]
	case !p.list:
		return values[0]
	}
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return list
}

// walk judges the keys in a value. It leaves out whole schemas in which nothing
// is more than harmless.
func (o *Operation) walk(typ uint16, value any) {
	n := &nodeTable[typ]
	if !n.judged {
		return
	}
	depth := len(o.at)
	switch v := value.(type) {
	case []any:
		o.at = append(o.at, "[]")
		for _, elem := range v {
			o.walk(n.elem, elem)
		}
	case map[string]any:
		if n.kind == kindMap {
			o.at = append(o.at, "*")
			for key, elem := range v {
				o.element = key
				o.walk(n.elem, elem)
			}
			break
		}
		for i := n.props.lo; i < n.props.hi; i++ {
			p := &propTable[i]
			if p.class.quiet() && !nodeTable[p.node].judged {
				continue
			}
			if elem := v[p.name]; elem != nil {
				o.at = append(o.at, p.name)
				o.judgeKey(p.class, v, elem)
				o.walk(p.node, elem)
				o.at = o.at[:depth]
			}
		}
	}
	o.at = o.at[:depth]
}

func (o *Operation) judgeKey(c class, in map[string]any, value any) {
	switch f := &functions[c]; {
	case c.quiet() || value == nil:
	case classHazards[c] != "":
		o.hazardIf(classHazards[c], isSet(value))
	case f.judge != nil:
		f.judge(o, in, value)
	default: // a word of the table without a meaning
		o.hazard(HazardUnknownInput)
	}
}

// field is the field that is being judged, as Docker's own documents write it:
// HostConfig.Mounts[].Source, ?networkmode.
func (o *Operation) field() string {
	var b strings.Builder
	for i, key := range o.at {
		if i > 0 && key != "[]" {
			b.WriteByte('.')
		}
		b.WriteString(key)
	}
	return b.String()
}

// isField says so of a name, without making another one.
func (o *Operation) isField(name string) bool {
	for i, key := range o.at {
		if i > 0 && key != "[]" {
			if name == "" || name[0] != '.' {
				return false
			}
			name = name[1:]
		}
		if !strings.HasPrefix(name, key) {
			return false
		}
		name = name[len(key):]
	}
	return name == ""
}
