package arm

import (
	"fmt"
	"net/http"
)

// Error is a failed call as Azure Resource Manager answers it.
type Error struct {
	Status  int               `json:"status"`            // HTTP
	Code    string            `json:"code"`              // machine-readable
	Message string            `json:"message"`           // for people
	Target  string            `json:"target,omitempty"`  // what it is about
	Details []Error           `json:"details,omitempty"` // further errors; Status and Header of these mean nothing
	Inner   string            `json:"inner,omitempty"`   // innererror.internalErrorCode
	Header  map[string]string `json:"header,omitempty"`  // further headers
	Gateway bool              `json:"gateway,omitempty"` // the gateway's own failure, not a resource provider's: x-ms-failure-cause
	Where   *Violation        `json:"where,omitempty"`   // of a template: where it is wrong
}

// Violation is where a template is wrong, as an error's additionalInfo tells it (microsoft/fabric-toolbox#398 has one): lines and columns count from one, and
// are zero where the service knows none.
type Violation struct {
	Line   int    `json:"lineNumber"`
	Column int    `json:"linePosition"`
	Path   string `json:"path"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Body is the JSON of the error.
func (e *Error) Body() map[string]any {
	out := map[string]any{"code": e.Code, "message": e.Message}
	if e.Target != "" {
		out["target"] = e.Target
	}
	var details []any
	for i := range e.Details {
		details = append(details, e.Details[i].Body())
	}
	if details != nil {
		out["details"] = details
	}
	if e.Inner != "" {
		out["innererror"] = map[string]any{"internalErrorCode": e.Inner}
	}
	if w := e.Where; w != nil {
		out["additionalInfo"] = []any{map[string]any{"type": "TemplateViolation", "info": map[string]any{"lineNumber": w.Line, "linePosition": w.Column, "path": w.Path}}}
	}
	return out
}

func (e *Error) Write(w http.ResponseWriter) {
	for k, v := range e.Header {
		w.Header()[k] = []string{v}
	}
	if e.Gateway {
		w.Header()["x-ms-failure-cause"] = []string{"gateway"}
	}
	Reply(w, e.Status, map[string]any{"error": e.Body()})
}

// Errorf makes an error of a resource provider.
func Errorf(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Gatewayf makes an error of the gateway.
func Gatewayf(status int, code, format string, args ...any) *Error {
	e := Errorf(status, code, format, args...)
	e.Gateway = true
	return e
}

// NotFound is the answer about a resource that is not there, in the words of whoever answers it.
func NotFound(id ID) *Error {
	switch {
	case id.Provider == "" && len(id.Types) > 0 && id.Types[0] == "resourceGroups":
		return Gatewayf(http.StatusNotFound, "ResourceGroupNotFound", "Resource group '%s' could not be found.", id.ResourceGroup)
	case len(id.Names) > 1:
		parent := id.Top(1)
		return Errorf(http.StatusNotFound, "NotFound", "The entity was not found: %s '%s' of %s '%s'.", id.Types[len(id.Types)-1], id.Name(), parent.Types[0], parent.Names[0])
	default:
		return Gatewayf(http.StatusNotFound, "ResourceNotFound",
			"The Resource '%s/%s' under resource group '%s' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix", id.Type(), id.Name(), id.ResourceGroup)
	}
}

// Absence is what a type calls one of its resources that is not there, if it has words of its own; the format gets the resource's name.
type Absence struct{ Code, Format string }

// Of is the answer about one of them.
func (a Absence) Of(id ID) *Error {
	if a.Code == "" {
		return NotFound(id)
	}
	return Gatewayf(http.StatusNotFound, a.Code, a.Format, id.Name())
}

// NotAllowed is the answer to a verb that a path does not take.
func NotAllowed(r *http.Request) *Error {
	return Errorf(http.StatusMethodNotAllowed, "MethodNotAllowed", "The HTTP method '%s' is not supported at scope '%s'.", r.Method, r.URL.Path)
}

// InvalidReference is the answer to a document that names a resource which is not there.
func InvalidReference(ref string, by ID) *Error {
	return Errorf(http.StatusBadRequest, "InvalidResourceReference",
		"Resource %s referenced by resource %s was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.", ref, by)
}
