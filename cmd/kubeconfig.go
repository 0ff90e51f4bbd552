/*
Copyright 2026 The Dynamic MCP Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package main

import (
	"flag"
	"fmt"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/dynamic-mcp/dynamic-mcp/internal/apiserver"
)

// loadRESTConfig returns how to reach the API server: by the kubeconfig, if a path is given, else by $KUBECONFIG, as a
// pod of the cluster, or by ~/.kube/config.
func loadRESTConfig(kubeconfig string) (*rest.Config, error) {
	if err := apiserver.CheckConnections(); err != nil {
		return nil, err
	}
	if kubeconfig != "" {
		// controller-runtime takes the path from a flag of the standard library that it registers itself.
		if err := flag.Set(config.KubeconfigFlagName, kubeconfig); err != nil {
			return nil, fmt.Errorf("--kubeconfig: %w", err)
		}
	}
	restConfig, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find out where the API server is, from --kubeconfig, $KUBECONFIG, the pod or ~/.kube/config: %w", err)
	}
	return restConfig, nil
}
