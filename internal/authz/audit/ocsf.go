package audit

import (
	"cmp"
	"strconv"
	"strings"

	"vitrine/internal/engine/principal"
	"vitrine/internal/version"
)

// ocsfVersion is that of the Open Cybersecurity Schema Framework which OCSF speaks; testdata has its class.
const ocsfVersion = "1.8.0"

// OCSF is the format for security systems: class API Activity of the Open Cybersecurity Schema Framework, with the
// profiles security_control, host and container. docs/audit.md says what of a record is where; the record itself
// is below unmapped.
func OCSF(b []byte, r *Record) ([]byte, error) {
	const category, class = 6, 6003
	activity := r.activity()
	e := ocsfEvent{
		CategoryUID: category, ClassUID: class, ActivityID: activity, TypeUID: class*100 + activity,
		Time: r.Time.UnixMilli(), Message: r.Sentence(), StatusID: ocsfSuccess, StatusDetail: strings.Join(r.Reasons, "; "),
		API: ocsfAPI{Service: ocsfResource{Name: "docker"}},
	}
	e.API.Request.UID = r.ID
	e.Metadata.Version, e.Metadata.LogName, e.Metadata.UID = ocsfVersion, "audit", r.ID
	e.Metadata.Profiles = []string{"security_control", "host", "container"}
	e.Metadata.Product.Name, e.Metadata.Product.Vendor = "authz-plugin", "Vitrine"
	e.Metadata.Product.Version, _ = version.Get()
	switch r.Verdict() {
	case "allow":
		e.SeverityID, e.ActionID, e.DispositionID = 1, 1, 1 // informational, allowed, allowed
	case "would-deny":
		e.SeverityID, e.ActionID, e.DispositionID = 2, 3, 17 // low, observed, logged
	default:
		e.SeverityID, e.ActionID, e.DispositionID, e.StatusID = 3, 2, 2, ocsfFailure // medium, denied, blocked
	}
	if r.Differential != "" {
		e.SeverityID = 4 // high
	}
	if r.Status != 0 {
		const failed = 400
		e.StatusCode, e.Response = strconv.Itoa(r.Status), &ocsfResponse{r.Status}
		if r.Status >= failed {
			e.StatusID = ocsfFailure
		}
	}
	if r.PolicyRevision != "" {
		e.Policy = &ocsfPolicy{Name: "policy", UID: r.PolicyRevision, Applied: r.Verdict() != "would-deny"}
	}
	e.who(&r.Caller)
	e.what(r)
	return appendLine(b, &e)
}

const ocsfSuccess, ocsfFailure = 1, 2

// activity is what a request does, in the class's words: 1 create, 2 read, 3 update, 4 delete; 0 for what was not understood, 99 for what is no request.
func (r *Record) activity() int {
	switch {
	case r.Event != "":
		return 99
	case r.Operation == "":
		return 0
	case strings.HasSuffix(r.Operation, "Create"), r.Operation == "ImageBuild":
		return 1
	case r.Method == "DELETE", strings.HasSuffix(r.Operation, "Prune"):
		return 4
	case r.Method == "GET", r.Method == "HEAD":
		return 2
	}
	return 3
}

// who fills in the caller.
func (e *ocsfEvent) who(c *Caller) {
	name := principal.Name(c.Principals, string(c.Kind)) // the beginning of a right has no caller
	e.Actor.App, e.From.Name = name, name
	if c.UID != nil {
		e.Actor.User = &ocsfUser{UID: strconv.FormatUint(uint64(*c.UID), 10)}
		for _, p := range c.Principals {
			if user, ok := strings.CutPrefix(p, "unix:"); ok {
				e.Actor.User.Name = user
			}
		}
	}
	if c.PID != 0 {
		e.Actor.Process = &ocsfProcess{PID: c.PID}
		if c.Exe != "" {
			const regular = 1
			e.Actor.Process.File = &ocsfFile{Name: c.Exe[strings.LastIndexByte(c.Exe, '/')+1:], Path: c.Exe, TypeID: regular}
		}
	}
	if c.ContainerID != "" {
		e.From.Container = &ocsfContainer{UID: c.ContainerID, Runtime: "docker"}
		for _, p := range c.Principals {
			if n, ok := strings.CutPrefix(p, "container:"); ok {
				e.From.Container.Name = n
			}
		}
	}
}

// what fills in the request.
func (e *ocsfEvent) what(r *Record) {
	e.API.Operation = cmp.Or(r.Event, r.Operation, "unknown")
	if r.URI != "" {
		e.Request = &ocsfRequest{}
		e.Request.URL.Path, e.Request.URL.Query, _ = strings.Cut(r.URI, "?")
		switch r.Method {
		case "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE": // the schema has no others
			e.Request.Method = r.Method
		}
	}
	for _, p := range r.HostPaths {
		e.Resources = append(e.Resources, ocsfResource{Name: p, Type: "host path"})
	}
	e.Unmapped.Record = r
}

// ocsfEvent and what follows are the parts of the schema that a record fills.
type ocsfEvent struct {
	CategoryUID int `json:"category_uid"`
	ClassUID    int `json:"class_uid"`
	ActivityID  int `json:"activity_id"`
	TypeUID     int `json:"type_uid"`
	SeverityID  int `json:"severity_id"`
	Metadata    struct {
		Version  string   `json:"version"`
		UID      string   `json:"uid"`
		LogName  string   `json:"log_name"`
		Profiles []string `json:"profiles"`
		Product  struct {
			Name    string `json:"name"`
			Vendor  string `json:"vendor_name"`
			Version string `json:"version"`
		} `json:"product"`
	} `json:"metadata"`
	Time          int64  `json:"time"` // milliseconds since 1970
	Message       string `json:"message"`
	StatusID      int    `json:"status_id"`
	StatusCode    string `json:"status_code,omitempty"`
	StatusDetail  string `json:"status_detail,omitempty"`
	ActionID      int    `json:"action_id"`
	DispositionID int    `json:"disposition_id"`
	Actor         struct {
		App     string       `json:"app_name"`
		User    *ocsfUser    `json:"user,omitempty"`
		Process *ocsfProcess `json:"process,omitempty"`
	} `json:"actor"`
	From struct {
		Name      string         `json:"name"`
		Container *ocsfContainer `json:"container,omitempty"`
	} `json:"src_endpoint"`
	API       ocsfAPI        `json:"api"`
	Request   *ocsfRequest   `json:"http_request,omitempty"`
	Response  *ocsfResponse  `json:"http_response,omitempty"`
	Resources []ocsfResource `json:"resources,omitempty"`
	Policy    *ocsfPolicy    `json:"policy,omitempty"`
	Unmapped  struct {
		Record *Record `json:"record"`
	} `json:"unmapped"`
}

type (
	ocsfAPI struct {
		Operation string       `json:"operation"`
		Service   ocsfResource `json:"service"`
		Request   struct {
			UID string `json:"uid"`
		} `json:"request"`
	}
	ocsfRequest struct {
		Method string `json:"http_method,omitempty"`
		URL    struct {
			Path  string `json:"path"`
			Query string `json:"query_string,omitempty"`
		} `json:"url"`
	}
	ocsfResponse struct {
		Code int `json:"code"`
	}
	ocsfUser struct {
		Name string `json:"name,omitempty"`
		UID  string `json:"uid"`
	}
	ocsfProcess struct {
		PID  int       `json:"pid"`
		File *ocsfFile `json:"file,omitempty"`
	}
	ocsfFile struct {
		Name   string `json:"name"`
		Path   string `json:"path"`
		TypeID int    `json:"type_id"`
	}
	ocsfContainer struct {
		Name    string `json:"name,omitempty"`
		UID     string `json:"uid"`
		Runtime string `json:"runtime"`
	}
	ocsfResource struct {
		Name string `json:"name"`
		Type string `json:"type,omitempty"`
	}
	ocsfPolicy struct {
		Name    string `json:"name"`
		UID     string `json:"uid"`
		Applied bool   `json:"is_applied"`
	}
)
