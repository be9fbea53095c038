package subject

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/azure"
)

// CloudController is the name of the cloud-controller-manager among the subjects.
const CloudController = "cloud-controller-manager"

// Controller is the unmodified cloud-controller-manager of cloud-provider-azure, a process of this host that serves a cluster and believes a twin to be
// the cloud the cluster's machines are in.
type Controller struct {
	Program    string         // as Builder makes it
	Kubeconfig string         // file: the cluster, as an administrator of it
	Twin       azure.Ready    // the cloud
	CA         []byte         // the twin's authority, PEM
	Principal  string         // who it is to the twin
	Cluster    string         // the cluster's name: what it makes in the cloud is called so
	Settings   map[string]any // of its cloud config, beyond those that lead to the twin: resourceGroup, vnetName, caches …
	Dir        string         // its files and its log

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
	err   error         // of its end
}

// Start starts it. It runs until Stop, whatever becomes of ctx's values.
func (c *Controller) Start() (err error) {
	if err := c.configure(); err != nil {
		return fmt.Errorf("%s: %w", CloudController, err)
	}
	log, err := os.Create(c.Log())
	if err != nil {
		return fmt.Errorf("%s: %w", CloudController, err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	c.cmd = exec.Command(c.Program, c.flags()...) //nolint:noctx // ended by Stop
	// A cloud of a name of its own: what Azure's Go libraries learn its addresses from is a file.
	c.cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+c.file("ca.pem"), "AZURE_ENVIRONMENT_FILEPATH="+c.file("environment.json"))
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", CloudController, err)
	}
	c.ended = make(chan struct{})
	go func() {
		defer close(c.ended)
		c.err = c.cmd.Wait()
	}()
	return nil
}

func (c *Controller) flags() []string {
	return []string{
		"--kubeconfig=" + c.Kubeconfig, "--cloud-config=" + c.file("azure.json"), "--cluster-name=" + c.Cluster,
		"--cloud-provider=azure", "--leader-elect=false", "--secure-port=0", "--allocate-node-cidrs=false", "--configure-cloud-routes=false",
		"--controllers=*,-cloud-node", // a program on each machine makes nodes the cloud's: the provider's own chart runs it so
		"--node-monitor-period=1s",    // how soon it asks whether the machine of a node that is not ready still exists; 5s by default
		"--v=3",
	}
}

// configure writes the files it reads.
func (c *Controller) configure() error {
	t := c.Twin
	settings := map[string]any{
		// adfs: the authority of a private cloud. The provider asks login.microsoftonline.com about any other that it does not know.
		"cloud": azure.CloudName, "tenantId": "adfs", "disableAzureStackCloud": true, "aadClientId": c.Principal, "aadClientSecret": "secret", "subscriptionId": t.Subscription,
		"useInstanceMetadata": false,
	}
	for name, value := range c.Settings {
		settings[name] = value
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	for name, content := range map[string]any{"azure.json": settings, "environment.json": t.Description()} {
		raw, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.file(name), raw, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(c.file("ca.pem"), c.CA, 0o644)
}

func (c *Controller) file(name string) string { return filepath.Join(c.Dir, name) }

// Log is the file with what it says.
func (c *Controller) Log() string { return c.file("controller.log") }

// Running is nil while it runs, and else says how it ended and where its last words are.
func (c *Controller) Running() error {
	select {
	case <-c.ended:
		return fmt.Errorf("%s ended: %w (its log: %s)", CloudController, c.err, c.Log())
	default:
		return nil
	}
}

// stopWithin is how long it may take to end by itself.
const stopWithin = 5 * time.Second

// Stop ends it; idempotent.
func (c *Controller) Stop() error {
	if c.cmd == nil || c.cmd.Process == nil {
		return nil
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	late := time.NewTimer(stopWithin)
	defer late.Stop()
	select {
	case <-c.ended:
	case <-late.C:
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
	return nil
}
